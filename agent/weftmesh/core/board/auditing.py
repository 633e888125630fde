"""Looking a board over in small steps: what its rows add up to, and whether acknowledged writes are in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weftmesh.core.board.hashing import HASH_BYTES, HASH_MASK, change_hash, project_hash, request_hash, task_hash
from weftmesh.core.board.model import Change
from weftmesh.core.board.state import BoardState

ROWS_PER_STEP: Final = 64
"""Hashed between two yields: about half a millisecond."""
REVISION_BYTES: Final = 8
WRITE_BYTES: Final = REVISION_BYTES + HASH_BYTES


def acknowledged_write(revision: int, request_id: bytes) -> bytes:
    """A write as journals and audits name it: the revision as 8 bytes, big-endian, then the request id of 16."""
    return revision.to_bytes(REVISION_BYTES, "big") + request_id


class BoardAudit:
    """One look over a frozen board; `steps` does the work.

    Attributes:
        missing: at first the acknowledged writes to look for, in the end those that neither a history nor the memory
            of requests holds.
    """

    def __init__(self, state: BoardState, acknowledged: set[bytes]) -> None:
        self.missing = acknowledged
        self._state = state
        self._total = 0

    @property
    def actual_hash(self) -> str:
        """The state hash that the rows seen so far add up to, as hexadecimal digits."""
        return (self._total & HASH_MASK).to_bytes(HASH_BYTES, "big").hex()

    def steps(self) -> Iterator[None]:
        """Look at everything, a few rows between two yields."""
        for seen, row_hash in enumerate(self._row_hashes(), start=1):
            self._total += row_hash
            if seen % ROWS_PER_STEP == 0:
                yield

    def _row_hashes(self) -> Iterator[int]:
        for project in self._state.projects:
            yield project_hash(project)
            yield from self._history(project.id, project.history)
        for task in self._state.tasks:
            yield task_hash(task)
            yield from self._history(task.id, task.history)
        for request in self._state.requests:
            self.missing.discard(acknowledged_write(request.outcome.revision, request.request_id))
            yield request_hash(request)

    def _history(self, owner_id: str, history: tuple[Change, ...]) -> Iterator[int]:
        for change in history:
            self.missing.discard(acknowledged_write(change.revision, change.request_id))
            yield change_hash(owner_id, change)


def actual_state_hash(state: BoardState) -> str:
    """The state hash that the rows of `state` add up to, in one go."""
    audit = BoardAudit(state, set())
    for _ in audit.steps():
        pass
    return audit.actual_hash
