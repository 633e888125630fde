"""One voter's side of an audit: its journal, and a look for acknowledged writes in its own board."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from weftmesh.agent.audit.acknowledged import AcknowledgedJournal
from weftmesh.agent.board.homes import Home
from weftmesh.core.board.auditing import WRITE_BYTES, BoardAudit
from weftmesh.core.errors import InvalidInputError, OverloadedError, PreconditionError
from weftmesh.mesh.v1 import audit_pb2

CHECKED_WRITES_MAX: Final = 131_072
"""In one audit, of all voters together."""
MISSING_SHOWN_MAX: Final = 20
SLICE_S: Final = 0.002
"""How long an audit may hold the event loop..."""
PAUSE_S: Final = 0.004
"""... before it leaves it to others for this long."""
CHECKS_MAX: Final = 4
"""Of several nodes that audit at once: one is made, the others wait."""
CATCH_UP_S: Final = 20.0
CATCH_UP_PAUSE_S: Final = 0.02


class HistoryCheck:
    """Answers audits from this node's journal and board; implements `auditing.Voter`."""

    def __init__(self, home: Home, journal: AcknowledgedJournal) -> None:
        self._home = home
        self._journal = journal
        self._checking = asyncio.Lock()
        self._checks = 0

    async def acknowledged(self, limit: int) -> list[bytes]:
        """The newest writes that this node acknowledged, oldest first."""
        return await self._journal.newest(min(limit, CHECKED_WRITES_MAX))

    async def check(self, applied_index: int, writes: set[bytes]) -> audit_pb2.CheckHistoryResponse:
        """Look for `writes` once entry `applied_index` is applied here; a little at a time, so that writes go on.

        Raises:
            OverloadedError: too many audits wait already.
            PreconditionError: this node does not get so far in time.
        """
        if self._checks >= CHECKS_MAX:
            raise OverloadedError(f"{CHECKS_MAX} audits of this node wait already; try again in a minute")
        self._checks += 1
        try:
            await self._caught_up(applied_index)
            # Known for some seconds only, so before the wait for others.
            state_hash = self._state_hash_at(applied_index)
            async with self._checking:
                return await self._look(writes, state_hash)
        finally:
            self._checks -= 1

    async def _caught_up(self, applied_index: int) -> None:
        try:
            async with asyncio.timeout(CATCH_UP_S):
                # An entry without a command moves the index, and wakes nobody.
                while self._home.engine.status().applied_index < applied_index:  # noqa: ASYNC110
                    await asyncio.sleep(CATCH_UP_PAUSE_S)
        except TimeoutError:
            present = self._home.engine.status().applied_index
            raise PreconditionError(
                f"it is at entry {present} and did not reach entry {applied_index} in {CATCH_UP_S:g} s; look at its "
                "`weftmesh status`, and audit again when it has caught up"
            ) from None

    def _state_hash_at(self, index: int) -> str:
        return self._home.machine.state_hash_at(index, self._home.engine.status().snapshot_index)

    async def _look(self, writes: set[bytes], state_hash: str) -> audit_pb2.CheckHistoryResponse:
        response = audit_pb2.CheckHistoryResponse(checked=len(writes), state_hash=state_hash)
        state = self._home.board.freeze()
        audit = BoardAudit(state, writes)
        until_s = time.monotonic() + SLICE_S
        for _ in audit.steps():
            if time.monotonic() >= until_s:
                await asyncio.sleep(PAUSE_S)
                until_s = time.monotonic() + SLICE_S
        missing = sorted(audit.missing)
        response.missing = len(missing)
        response.missing_writes.writes = b"".join(missing[:MISSING_SHOWN_MAX])
        response.claimed_hash = state.state_hash.hex()
        response.actual_hash = audit.actual_hash
        response.revision = state.revision
        return response


def unpacked(message: audit_pb2.AcknowledgedWrites) -> list[bytes]:
    """The writes in a message.

    Raises:
        InvalidInputError: it is not a whole number of them.
    """
    if len(message.writes) % WRITE_BYTES:
        raise InvalidInputError(f"{len(message.writes)} bytes of writes; each takes {WRITE_BYTES}")
    return [message.writes[start : start + WRITE_BYTES] for start in range(0, len(message.writes), WRITE_BYTES)]
