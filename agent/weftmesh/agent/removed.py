"""Which members were seen to be removed, also before this process: their certificates may still be in force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

import structlog

from weftmesh.core.errors import DataCorruptionError
from weftmesh.runtime.files import write_atomic

FILE_NAME: Final = "removed.json"

log = structlog.get_logger("weftmesh.mesh")


class Removed:
    """The names of members that went and when that was seen, until they are members again.

    Args:
        path: where they are kept.

    Raises:
        DataCorruptionError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen_s = _load(path)

    def seen_s(self, node: str) -> float | None:
        """When this node saw that one go, in seconds since 1970 by its own clock; None if it did not."""
        return self._seen_s.get(node)

    def note(self, gone: AbstractSet[str], members: AbstractSet[str], now_s: float) -> None:
        """Take in who is no member any more, and who is one; a disk that refuses costs the memory of it at a start."""
        both = {**self._seen_s, **dict.fromkeys(gone, now_s)}
        seen_s = {node: at_s for node, at_s in both.items() if node not in members}
        if seen_s == self._seen_s:
            return
        self._seen_s = seen_s
        try:
            write_atomic(self._path, json.dumps(seen_s, sort_keys=True).encode() + b"\n")
        except OSError as error:
            log.error("who was removed is not remembered after the next start", why=str(error), removed=sorted(seen_s))  # noqa: TRY400


def _load(path: Path) -> Mapping[str, float]:
    try:
        return {str(node): float(at_s) for node, at_s in json.loads(path.read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataCorruptionError(
            f"{path} cannot be read ({error}): it names the members that were removed, whose certificates may still be "
            'in force, and when. Write it anew, such as {"node3": 1790000000} in seconds since 1970, or {} if none was '
            "removed in the last eight days"
        ) from error
