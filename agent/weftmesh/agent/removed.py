"""Which members were seen to be removed, also before this process: their certificates may still be in force."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

import structlog

from weftmesh.core.errors import DataCorruptionError
from weftmesh.runtime.files import write_atomic

FILE_NAME: Final = "removed.json"

log = structlog.get_logger("weftmesh.mesh")


class Removed:
    """The names of members that went, until they are members again.

    Args:
        path: where they are kept.

    Raises:
        DataCorruptionError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names = _load(path)

    def __contains__(self, node: object) -> bool:
        return node in self._names

    def note(self, gone: AbstractSet[str], members: AbstractSet[str]) -> None:
        """Take in who is no member any more, and who is one; a disk that refuses costs the memory of it at a start."""
        names = frozenset((self._names | gone) - members)
        if names == self._names:
            return
        self._names = names
        try:
            write_atomic(self._path, json.dumps(sorted(names)).encode() + b"\n")
        except OSError as error:
            log.error("who was removed is not remembered after the next start", why=str(error), removed=sorted(names))  # noqa: TRY400


def _load(path: Path) -> frozenset[str]:
    try:
        return frozenset(str(name) for name in json.loads(path.read_bytes()))
    except FileNotFoundError:
        return frozenset()
    except (ValueError, TypeError) as error:
        raise DataCorruptionError(
            f"{path} cannot be read ({error}): it names the members that were removed, whose certificates may still be "
            'in force. Write it anew, such as ["node3"], or [] if none was removed in the last eight days'
        ) from error
