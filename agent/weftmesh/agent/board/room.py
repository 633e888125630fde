"""The board on one node: its service, the queue for times without a quorum, and how long commits take to be seen."""

from __future__ import annotations

from collections.abc import Sequence

from weftmesh.agent.access.checkpoint import Checkpoint
from weftmesh.agent.access.supervision import Supervision
from weftmesh.agent.board.service import BoardServicer
from weftmesh.agent.board.sync_meter import SyncMeter
from weftmesh.agent.board.writes import BoardWrites
from weftmesh.agent.offline.queue import WriteQueue
from weftmesh.agent.offline.replayer import Replayer
from weftmesh.agent.offline.service import OfflineWrites
from weftmesh.agent.rooms import Ground, Work
from weftmesh.agent.serving.services import Door, Service, service
from weftmesh.board.v1 import board_pb2, board_pb2_grpc


class BoardRoom:
    """Implements `rooms.Room`.

    Attributes:
        servicer: of the board.
        queue: writes that wait for a quorum.
        meter: from a commit to this node's watchers.

    Raises:
        DataCorruptionError: the queue on the disk cannot be read.
    """

    def __init__(self, ground: Ground, checkpoint: Checkpoint) -> None:
        self._homes = ground.homes
        self.meter = SyncMeter()
        ground.homes.mesh.feed.on_handed_over(self.meter.handed_over)
        self.queue = WriteQueue.open(ground.config.node.data_dir / "offline", ground.disk())
        writes = BoardWrites(ground.homes, ground.clock, ground.new_ulid)
        offline = OfflineWrites(ground.homes, writes, self.queue, ground.clock, ground.new_ulid)
        checkpoint.authorizer.places.queue = self.queue
        supervision = Supervision(checkpoint.authorizer, ground.callers, checkpoint.audit_log)
        limits = ground.config.limits
        self.servicer = BoardServicer(ground.homes, writes, offline, ground.callers, supervision, limits.watchers)

    @property
    def services(self) -> Sequence[Service]:
        """See Room."""
        return [service(board_pb2.DESCRIPTOR, "BoardService", board_pb2_grpc, self.servicer, Door.BOTH)]

    def work(self) -> Sequence[Work]:
        """See Room."""
        return [Replayer(self._homes, self.queue).run()]

    async def close(self) -> None:
        """See Room."""
        await self.queue.close()
