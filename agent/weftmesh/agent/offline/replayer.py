"""Replays the queue in its order whenever there is a quorum, each write once.

One entry of the log is on its way at a time, and the next one leaves when the outcomes of all its writes are known and
written down. A write that stays in the queue although it was applied, because the node died in between, is found in the
history by its request id, or answered from the memory of requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from weftmesh.agent.board.homes import Homes
from weftmesh.agent.offline.entry import Entry, applied_write
from weftmesh.agent.offline.queue import WriteQueue
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.commands import CreateTask
from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.board.pending import ProjectCommand, applied_outcome
from weftmesh.core.errors import NotFoundError, PreconditionError, WeftmeshError
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.rpc import to_write_failed
from weftmesh.runtime.wire.outcomes import error_of

BATCH_WRITES_MAX: Final = 64
BATCH_BYTES_MAX: Final = 256 * 1024
ATTEMPT_S: Final = 5.0
PAUSE_FIRST_S: Final = 0.1
PAUSE_MAX_S: Final = 5.0
"""Pauses double up to this while attempts fail."""
RECHECK_S: Final = 5.0
"""While something waits, the quorum is asked for this often even if nobody tells of a change."""

log = structlog.get_logger("weftmesh.offline")


class Replayer:
    """Empties the queue into the replicated log."""

    def __init__(self, homes: Homes, queue: WriteQueue) -> None:
        self._homes = homes
        self._queue = queue
        self._changed = asyncio.Event()
        queue.on_change(self._changed.set)
        homes.mesh.engine.on_change(lambda _status: self._changed.set())

    async def run(self) -> None:
        """Replay for ever."""
        pause_s = PAUSE_FIRST_S
        while True:
            await self._something_to_do()
            try:
                # What this node knows of the history decides what was applied already.
                await self._homes.mesh.engine.read_barrier(ATTEMPT_S)
                await self._replay()
                pause_s = PAUSE_FIRST_S
            except WeftmeshError as error:
                # Whatever the log or the disk cannot do now: what became of each write is an outcome, not an error.
                log.warning("queued writes wait", why=str(error), writes=len(self._queue), again_in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def _something_to_do(self) -> None:
        while not (any(self._queue.waiting()) and self._homes.mesh.engine.status().quorum):
            self._changed.clear()
            try:
                async with asyncio.timeout(RECHECK_S if len(self._queue) else None):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _replay(self) -> None:
        while batch := self._next_batch():
            self._queue.replaying = frozenset(entry.id for entry in batch)
            try:
                await self._settle(batch, await self._outcomes(batch))
            except WeftmeshError as error:
                for entry in batch:
                    entry.trouble = error
                raise
            finally:
                self._queue.replaying = frozenset()

    def _next_batch(self) -> list[Entry]:
        """The writes at the head of the queue. One to a project stands alone: what follows may depend on it."""
        batch: list[Entry] = []
        size_bytes = 0
        for entry in self._queue.waiting():
            alone = isinstance(entry.command, ProjectCommand)
            size_bytes += entry.size_bytes
            if batch and (alone or len(batch) == BATCH_WRITES_MAX or size_bytes > BATCH_BYTES_MAX):
                break
            batch.append(entry)
            if alone:
                break
        return batch

    async def _outcomes(self, batch: Sequence[Entry]) -> dict[str, Outcome | WeftmeshError]:
        """What became of each write, by id."""
        board = self._homes.mesh.board
        known: dict[str, Outcome | WeftmeshError] = {}
        message = raft_pb2.MachineCommands()
        proposed = []
        for entry in batch:
            answer = applied_outcome(board, entry.command) or self._misplaced(entry)
            if answer is not None:
                known[entry.id] = answer
                continue
            message.commands.add().board.CopyFrom(entry.wire())
            proposed.append(entry)
        if proposed:
            for entry in proposed:
                entry.attempts += 1
            applied = await self._homes.mesh.engine.propose(message.SerializeToString(), ATTEMPT_S)
            for entry, outcome in zip(proposed, applied.result, strict=True):
                known[entry.id] = outcome
                self._homes.mesh.writer.acknowledged(entry.command.header.request_id, outcome)
        return known

    def _misplaced(self, entry: Entry) -> WeftmeshError | None:
        """Why a task may not enter the replicated log: since it was queued, its project turned out to be elsewhere."""
        if not isinstance(entry.command, CreateTask):
            return None
        project_id = entry.command.project_id
        try:
            home = self._homes.of_project(project_id)
        except PreconditionError as error:
            return error
        if home.board.project(project_id) is None:
            return NotFoundError(f"there is no project {project_id!r}; create it, then retry the write")
        if home is not self._homes.mesh:
            return PreconditionError(f"project {project_id} lives on this node alone; make the task there")
        return None

    async def _settle(self, batch: Sequence[Entry], outcomes: dict[str, Outcome | WeftmeshError]) -> None:
        board = self._homes.mesh.board
        applied: dict[str, board_pb2.QueuedWrite] = {}
        refused: dict[str, board_pb2.WriteFailed] = {}
        for entry in batch:
            outcome = outcomes[entry.id]
            if isinstance(outcome, Outcome) and outcome.ok:
                applied[entry.id] = applied_write(entry, outcome, board)
                continue
            error = error_of(outcome, board) if isinstance(outcome, Outcome) else outcome
            refused[entry.id] = to_write_failed(error)
            log.warning("a queued write was refused", name=entry.id, actor=entry.command.header.actor, why=str(error))
        await self._queue.settle(applied, refused)
        conflicts = sum(1 for write in applied.values() if write.stored_conflict)
        log.info("queued writes replayed", applied=len(applied), conflicts=conflicts, refused=len(refused))
