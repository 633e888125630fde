"""For a log with one voter: there is nobody to reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from weftmesh.agent.raft.ports import TransportEvents
from weftmesh.mesh.v1 import raft_pb2


class NullTransport:
    """A `Transport` without peers."""

    async def start(self, events: TransportEvents) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to end."""

    def set_peers(self, peers: Mapping[str, str]) -> None:
        """Nobody to connect to."""

    def send(self, peer: str, message: raft_pb2.RaftMessage) -> bool:  # noqa: ARG002, there is no peer
        """Nobody to send to."""
        return False

    def send_snapshot(
        self,
        peer: str,  # noqa: ARG002, there is no peer
        offer: raft_pb2.SnapshotChunk,  # noqa: ARG002
        read: Callable[[int], bytes],  # noqa: ARG002
    ) -> bool:
        """Nobody to send to."""
        return False

    def connected(self, peer: str) -> bool:  # noqa: ARG002, there is no peer
        """Nobody is."""
        return False
