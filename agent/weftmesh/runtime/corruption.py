"""One wording for damaged files: where, what was found, what to do. Shared by the log and the snapshots."""

from __future__ import annotations

from pathlib import Path

from weftmesh.core.errors import DataCorruptionError

ADVICE = (
    "stop the node and keep the directory for inspection; then remove the node from the mesh with `weftmesh leave` "
    "(or `weftmesh members` from another node), empty the data directory and `join` again so that it re-syncs"
)


def corrupted(path: Path, offset: int, found: str) -> DataCorruptionError:
    """The error for `found` at byte `offset` of `path`; the caller raises it."""
    return DataCorruptionError(
        f"{path} is damaged at byte {offset}: {found}; {ADVICE}",
        metadata={"file": str(path), "offset": str(offset), "found": found},
    )
