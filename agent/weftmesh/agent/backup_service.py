"""The BackupService: a node's boards as one consistent picture, streamed to a local caller."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import structlog

from weftmesh.agent.board.homes import Home, Homes
from weftmesh.agent.serving.callers import Callers
from weftmesh.agent.serving.requests import begin_call
from weftmesh.core.errors import OverloadedError
from weftmesh.mesh.v1 import backup_pb2, backup_pb2_grpc, raft_pb2
from weftmesh.runtime.version import VERSION
from weftmesh.runtime.wire.backup_parts import DATA_BYTES_MAX, FORMAT, closing_of
from weftmesh.runtime.wire.snapshot_file import FORMAT as SNAPSHOT_FORMAT
from weftmesh.runtime.wire.snapshot_file import encode

BACKUPS_MAX: Final = 2
"""At a time: each holds on to the board as it was."""
BACKUP_MARK: Final = "last-backup"
"""An empty file of the data directory; its time says when a backup was last taken."""
PIECE_BYTES: Final = 256 * 1024
MAJORITY_S: Final = 10.0
"""To hear from a majority; the transfer itself may take longer."""
Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger("weftmesh.backup")


@dataclass(frozen=True, slots=True)
class _Picture:
    """One board, frozen."""

    board: backup_pb2.BackupBoard
    snapshot: Iterator[bytes]
    """Its snapshot in pieces, to be drawn in a thread."""


class BackupServicer(backup_pb2_grpc.BackupServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.mesh.v1.BackupService; backup.proto documents it."""

    def __init__(self, node: str, cluster: str, homes: Homes, callers: Callers, mark: Path) -> None:
        self._node = node
        self._cluster = cluster
        self._homes = homes
        self._callers = callers
        self._mark = mark
        self._running = 0

    async def TakeBackup(  # noqa: N802
        self, request: backup_pb2.TakeBackupRequest, context: Context
    ) -> AsyncIterator[backup_pb2.BackupPart]:
        """See backup.proto."""
        caller = self._callers.local(context)
        call = begin_call(self._callers, context)
        if self._running >= BACKUPS_MAX:
            raise OverloadedError(f"{BACKUPS_MAX} backups of this node are under way already; try again later")
        self._running += 1
        try:
            homes = self._homes.all() if request.include_local else (self._homes.mesh,)
            for home in homes:
                await home.engine.read_barrier(min(call.remaining_s, MAJORITY_S))
            # Frozen together, with nothing awaited between: what the boards say of one another fits.
            pictures = [self._freeze(home) for home in homes]
            async for part in self._parts(pictures):
                yield part
            with suppress(OSError):  # the caller has the backup; that it is not noted is no fault of it
                self._mark.touch(mode=0o600)
            log.info("backup taken", by=caller.actor, revision=pictures[0].board.revision)
        finally:
            self._running -= 1

    def _freeze(self, home: Home) -> _Picture:
        status, board = home.engine.status(), home.board
        header = raft_pb2.SnapshotHeader(
            format=SNAPSHOT_FORMAT, last_index=status.applied_index, last_term=status.term, cluster=self._cluster
        )
        rows = home.machine.snapshot()
        described = backup_pb2.BackupBoard(
            home=home.name,
            revision=board.revision,
            state_hash=board.state_hash,
            applied_index=status.applied_index,
            tasks=board.task_count,
            projects=board.project_count,
        )
        return _Picture(described, encode(header, rows()))

    async def _parts(self, pictures: list[_Picture]) -> AsyncIterator[backup_pb2.BackupPart]:
        opening = backup_pb2.BackupOpening(
            format=FORMAT,
            cluster=self._cluster,
            node=self._node,
            version=VERSION,
            boards=[picture.board for picture in pictures],
        )
        opening.create_time.GetCurrentTime()
        yield backup_pb2.BackupPart(opening=opening)
        digest, size_bytes = hashlib.sha256(), 0
        for number, picture in enumerate(pictures):
            while piece := await asyncio.to_thread(_next_piece, picture.snapshot):
                digest.update(piece)
                size_bytes += len(piece)
                for start in range(0, len(piece), DATA_BYTES_MAX):
                    data = backup_pb2.BackupData(board=number, data=piece[start : start + DATA_BYTES_MAX])
                    yield backup_pb2.BackupPart(data=data)
        yield closing_of(digest, size_bytes)


def _next_piece(snapshot: Iterator[bytes]) -> bytes:
    """About PIECE_BYTES of a snapshot, more if one row is larger; empty at its end."""
    piece = bytearray()
    for row in snapshot:
        piece += row
        if len(piece) >= PIECE_BYTES:
            break
        os.sched_yield()  # lets go of the interpreter, for which the loop would wait 5 ms at every turn
    return bytes(piece)
