"""Carries Raft messages between nodes: one gRPC stream per ordered pair, named by certificates on both ends.

A snapshot has a call of its own beside it; see `snapshot_stream`.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from weftmesh.agent.raft.peers.stream import (
    BACKOFF_MIN_S,
    BATCH_BYTES_MAX,
    CHANNEL_OPTIONS,
    HELLO,
    ChannelFactory,
    PeerStream,
)
from weftmesh.agent.raft.ports import TransportEvents
from weftmesh.agent.raft.snapshots.stream import Read, SnapshotContext, SnapshotSender, Take, receive_snapshot
from weftmesh.core.errors import ForbiddenError, UnauthenticatedError
from weftmesh.mesh.v1 import raft_pb2, raft_pb2_grpc
from weftmesh.runtime.identity.credentials import AuthContext, named_node

__all__ = ["CHANNEL_OPTIONS", "SERVER_OPTIONS", "ChannelFactory", "GrpcTransport", "RaftServicer", "peer_name"]

SERVER_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", BATCH_BYTES_MAX),
    # admits the callers' keepalive pings, and notices a caller that has gone silent
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
)
"""For the server that a RaftServicer is added to."""

REFUSAL_LOG_INTERVAL_S: Final = 60.0
"""A peer that keeps calling and is refused for the same reason is written about this often."""
REFUSALS_REMEMBERED: Final = 1_024

Refusal = tuple[grpc.StatusCode, str]
"""A status, and its message."""
Deliver = Callable[[str, Sequence[raft_pb2.RaftMessage]], None]
ExchangeContext = grpc.aio.ServicerContext[raft_pb2.RaftBatch, raft_pb2.RaftBatch]

_log = structlog.get_logger(__name__)


def peer_name(auth_context: AuthContext, cluster: str) -> str:
    """The node that the caller's certificate names.

    Args:
        auth_context: of the call; gRPC has verified the certificate against the cluster's CA.
        cluster: the only cluster to accept.

    Raises:
        UnauthenticatedError: it names none.
        ForbiddenError: the node belongs to another cluster.
    """
    named = named_node(auth_context)
    if named is None:
        uris = [value.decode(errors="replace") for value in auth_context.get("peer_uri", ())]
        raise UnauthenticatedError(f"the certificate names no node; its URIs are {uris}")
    node, its_cluster = named
    if its_cluster != cluster:
        raise ForbiddenError(f"node {node} belongs to cluster {its_cluster}, this is {cluster}")
    return node


class RaftServicer(raft_pb2_grpc.RaftServiceServicer):  # type: ignore[misc] # generated without annotations
    """The receiving half: admits members, and hands on what the newest stream of each of them brings.

    Args:
        cluster: this cluster's name.
        is_member: whether a node may speak to this one; asked for every batch, so a member that is removed or
            revoked is cut off.
        self_name: this node's name, which nobody else may bear.
    """

    def __init__(self, cluster: str, is_member: Callable[[str], bool], self_name: str) -> None:
        self._cluster = cluster
        self._is_member = is_member
        self._self_name = self_name
        self._deliver: Deliver | None = None
        self._take: Take = _nothing_taken
        self._admitted: Callable[[str], None] = lambda _peer: None
        self._newest: dict[str, asyncio.Future[None]] = {}
        """Per peer, what ends its newest stream; kept when the stream has ended. As many as ever were members."""
        self._refusals: dict[tuple[str, str], float] = {}
        """(peer, reason) to when it was last logged."""

    def attach(self, deliver: Deliver, take: Take, admitted: Callable[[str], None]) -> None:
        """Admit streams from now on.

        Args:
            deliver: called within the event loop, in each peer's order.
            take: answers a piece of a peer's snapshot; None ends the call.
            admitted: called when a peer's stream begins.
        """
        self._deliver = deliver
        self._take = take
        self._admitted = admitted

    def detach(self) -> None:
        """Drop every stream and admit no more; nothing is delivered after this."""
        self._deliver = None
        self._take = _nothing_taken
        for ended in self._newest.values():
            ended.cancel()
        self._newest.clear()

    async def Exchange(  # noqa: N802 - the name is the protocol's
        self, request_iterator: AsyncIterator[raft_pb2.RaftBatch], context: ExchangeContext
    ) -> None:
        """Receive from one peer until its stream ends or a newer one begins."""
        peer = await self._admit(context)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if older := self._newest.get(peer):
            older.cancel()
        self._newest[peer] = ended
        await context.send_initial_metadata((HELLO,))
        self._admitted(peer)
        receiving = asyncio.ensure_future(self._receive(peer, ended, request_iterator, context))
        try:
            await asyncio.wait((receiving, ended), return_when=asyncio.FIRST_COMPLETED)
            if ended.cancelled():
                await context.abort(grpc.StatusCode.ABORTED, "a newer stream of this node began, or this one stops")
            if why := await receiving:
                await context.abort(*why)
        finally:
            receiving.cancel()

    async def InstallSnapshot(  # noqa: N802 - the name is the protocol's
        self, request_iterator: AsyncIterator[raft_pb2.SnapshotChunk], context: SnapshotContext
    ) -> raft_pb2.InstallSnapshotResponse:
        """Receive a snapshot from one peer."""
        peer = await self._admit(context)

        def take(chunk: raft_pb2.SnapshotChunk) -> raft_pb2.InstallSnapshotResponse | None:
            return self._take(peer, chunk) if self._is_member(peer) else None

        return await receive_snapshot(request_iterator, context, take)

    async def _admit(self, context: ExchangeContext | SnapshotContext) -> str:
        """The name of a peer that may speak; aborts the call of any other."""
        if self._deliver is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "this node is starting or stopping")
        try:
            peer = peer_name(context.auth_context(), self._cluster)
        except (UnauthenticatedError, ForbiddenError) as error:
            await context.abort(*self._refused(context, "unknown", str(error)))
            raise
        if peer == self._self_name:
            reason = "this node's own name; two nodes must not share a certificate"
            await context.abort(*self._refused(context, peer, reason))
        if not self._is_member(peer):
            advice = "was it removed or given up, wipe its data directory and let it join again"
            reason = f"not a member of {self._cluster}, or no longer; {advice}"
            await context.abort(*self._refused(context, peer, reason))
        return peer

    def _refused(self, context: ExchangeContext | SnapshotContext, peer: str, reason: str) -> Refusal:
        self._log(context, "raft peer refused", peer, reason)
        return grpc.StatusCode.PERMISSION_DENIED, f"node {peer} refused: {reason}"

    def _log(self, context: ExchangeContext | SnapshotContext, event: str, peer: str, reason: str) -> None:
        """Write about a peer, unless that was done lately."""
        now_s = time.monotonic()
        if now_s - self._refusals.get((peer, reason), float("-inf")) >= REFUSAL_LOG_INTERVAL_S:
            if len(self._refusals) >= REFUSALS_REMEMBERED:
                self._refusals.clear()
            self._refusals[peer, reason] = now_s
            _log.warning(event, peer=peer, address=context.peer(), reason=reason)

    async def _receive(
        self,
        peer: str,
        stream: asyncio.Future[None],
        request_iterator: AsyncIterator[raft_pb2.RaftBatch],
        context: ExchangeContext,
    ) -> Refusal | None:
        """Hand on what comes; why the stream has to end, unless the peer ends it.

        The one who waits aborts the call: a newer stream may end this one at the same moment, and gRPC takes one abort.
        """
        loop = asyncio.get_running_loop()
        try:
            async for batch in request_iterator:
                if not self._is_member(peer):
                    return self._refused(context, peer, f"no longer a member of {self._cluster}")
                loop.call_soon(self._hand_on, peer, stream, batch)
        except DecodeError:
            self._log(context, "malformed raft batch, stream dropped", peer, "malformed")
            return grpc.StatusCode.INVALID_ARGUMENT, "malformed RaftBatch; do both nodes run one version?"
        return None

    def _hand_on(self, peer: str, stream: asyncio.Future[None], batch: raft_pb2.RaftBatch) -> None:
        if self._deliver is None or self._newest.get(peer) is not stream:
            return
        # a kind that a later version sends is not for this one
        messages = [message for message in batch.messages if message.WhichOneof("kind") is not None]
        if messages:
            self._deliver(peer, messages)


def _nothing_taken(_peer: str, _chunk: raft_pb2.SnapshotChunk) -> None:
    return None


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
