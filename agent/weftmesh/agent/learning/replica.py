"""What this node's own replica says of learning, and how to wait for it to say more."""

from __future__ import annotations

from weftmesh.agent.board.homes import Home
from weftmesh.agent.learning.signal import Signal
from weftmesh.agent.raft.engine import RaftEngine, RaftStatus, Role
from weftmesh.core.learning.machine import Learning
from weftmesh.learning.v1 import learning_pb2


class Replica:
    """The replicated log's engine and the learning machine that it drives."""

    def __init__(self, mesh: Home) -> None:
        self._mesh = mesh
        self._moved = Signal()
        mesh.engine.on_change(lambda _status: self._moved.fire())
        mesh.machine.on_learning(lambda _events: self._moved.fire())
        mesh.machine.on_restored(self._moved.fire)

    @property
    def engine(self) -> RaftEngine:
        """The engine of the mesh's log."""
        return self._mesh.engine

    @property
    def status(self) -> RaftStatus:
        """The engine's status now."""
        return self._mesh.engine.status()

    @property
    def learning(self) -> Learning:
        """The learning machine now; a snapshot may replace it."""
        return self._mesh.machine.learning

    @property
    def waiters(self) -> int:
        """How many wait for a change."""
        return self._moved.waiters

    async def moved(self) -> None:
        """Return at the next change of the machine, or of the term, the leader, the quorum or the members."""
        await self._moved.wait()


def members_of(status: RaftStatus) -> dict[str, str]:
    """Every member's name and host:port, this node included."""
    return {**status.voters, **status.observers}


def duty_of(status: RaftStatus) -> learning_pb2.Duty:
    """Whether this node leads learning: the one that leads the log, while a majority is behind it."""
    return learning_pb2.Duty(
        leads=status.role is Role.LEADER and status.quorum,
        term=status.term,
        node=status.node,
        leader=status.leader,
    )
