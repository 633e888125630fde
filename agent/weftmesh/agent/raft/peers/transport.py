"""Carries Raft messages between nodes: one gRPC stream per ordered pair, named by certificates on both ends.

This is the sending half, `receiving` is the other one. A snapshot has a call of its own beside it; see
`snapshots.stream`.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping

from weftmesh.agent.raft.peers.receiving import RaftServicer
from weftmesh.agent.raft.peers.stream import BACKOFF_MIN_S, ChannelFactory, PeerStream
from weftmesh.agent.raft.ports import TransportEvents
from weftmesh.agent.raft.snapshots.stream import Read, SnapshotSender
from weftmesh.mesh.v1 import raft_pb2


class GrpcTransport:
    """The `Transport` of production. Every on_connected is followed by one on_disconnected, but for `stop`.

    Args:
        servicer: the receiving half, already added to the mesh port's server.
        dial: makes a channel to a peer; see ChannelFactory.
        rng: for the jitter of reconnects.
    """

    def __init__(
        self,
        servicer: RaftServicer,
        dial: ChannelFactory,
        rng: random.Random | None = None,
        backoff_min_s: float = BACKOFF_MIN_S,
    ) -> None:
        self._servicer = servicer
        self._dial = dial
        self._rng = rng or secrets.SystemRandom()
        self._backoff_min_s = backoff_min_s
        self._events: TransportEvents | None = None
        self._peers: Mapping[str, str] = {}
        self._streams: dict[str, PeerStream] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._snapshots = SnapshotSender(dial, self._snapshot_sent)

    async def start(self, events: TransportEvents) -> None:
        """Begin to connect and to deliver."""
        self._events = events
        self._servicer.attach(events.on_messages, events.on_snapshot_chunk, self._hurry)
        self.set_peers(self._peers)

    async def stop(self) -> None:
        """Drop every stream; no event comes after this has been called."""
        self._events = None
        self._servicer.detach()
        for name in list(self._streams):
            self._drop(name)
        await self._snapshots.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def set_peers(self, peers: Mapping[str, str]) -> None:
        """Connect to exactly these (name to host:port); a peer whose address changed is connected anew."""
        self._peers = dict(peers)
        if self._events is None:
            return
        for name in [name for name, stream in self._streams.items() if peers.get(name) != stream.address]:
            self._drop(name)
        for name in peers.keys() - self._streams.keys():
            self._streams[name] = PeerStream(
                name, peers[name], self._dial, self._teller(name), self._rng, self._backoff_min_s
            )

    def send(self, peer: str, message: raft_pb2.RaftMessage) -> bool:
        """Queue a message; False when the peer is not connected."""
        stream = self._streams.get(peer)
        return stream is not None and stream.send(message)

    def send_snapshot(self, peer: str, offer: raft_pb2.SnapshotChunk, read: Read) -> bool:
        """Begin to send a snapshot; False when the peer is not connected or one is on its way there."""
        stream = self._streams.get(peer)
        return stream is not None and stream.connected and self._snapshots.begin(peer, stream.address, offer, read)

    def connected(self, peer: str) -> bool:
        """Whether this node can send to `peer`."""
        stream = self._streams.get(peer)
        return stream is not None and stream.connected

    def cut(self, name: str) -> None:
        """Drop what is sent to a peer now: it may no longer be called."""
        self._snapshots.drop(name)
        if stream := self._streams.get(name):
            stream.cut()

    def _hurry(self, name: str) -> None:
        if stream := self._streams.get(name):
            stream.hurry()

    def _snapshot_sent(self, peer: str, answer: raft_pb2.InstallSnapshotResponse | None) -> None:
        if self._events is not None:
            self._events.on_snapshot_sent(peer, answer)

    def _drop(self, name: str) -> None:
        self._snapshots.drop(name)
        task = self._streams.pop(name).stop()
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _teller(self, name: str) -> Callable[[bool], None]:
        def tell(connected: bool) -> None:
            if self._events is None:
                return
            if connected:
                self._events.on_connected(name)
            else:
                self._events.on_disconnected(name)

        return tell
