"""The contributor's memory on disk: which base versions it helped to unmask, and the last term that it heeded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from weftmesh.core.aggregation.memory import AnsweredVersions, ContributorMemory
from weftmesh.learner.state_file import damaged, read_document, write_document

FILE_NAME: Final = "memory"
_ADVICE: Final = (
    "keep it for inspection and restore it from a backup of this node; without one, remove it once every job has a "
    "newer version than those that were trained on while it was whole, since it says on which ones this node may not "
    "help to unmask a second sum"
)


class MemoryFile:
    """One node's file; one learner at a time may use it.

    Args:
        state_dir: the learner's directory, which is there.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME

    def load(self) -> ContributorMemory:
        """What was remembered last; nothing on a new node.

        Raises:
            DataCorruptionError: the file is damaged; do not train.
        """
        document = read_document(self._path, _ADVICE)
        if document is None:
            return ContributorMemory()
        try:
            return _memory(document)
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(self._path, f"a field is missing or of another kind ({error})", _ADVICE) from error

    def save(self, memory: ContributorMemory) -> None:
        """Return once `memory` survives a crash.

        Raises:
            OSError: the disk refused; carry out no effect that follows.
        """
        answered = [{"job": one.job, "floor": one.floor, "above": list(one.above)} for one in memory.answered]
        write_document(self._path, {"term": memory.term, "answered": answered})


def _memory(document: Mapping[str, Any]) -> ContributorMemory:
    answered = tuple(
        AnsweredVersions(str(one["job"]), _whole(one["floor"]), tuple(map(_whole, one["above"])))
        for one in document["answered"]
    )
    return ContributorMemory(_whole(document["term"]), answered)


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value
