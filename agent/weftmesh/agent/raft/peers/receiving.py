"""The receiving half of what carries Raft messages: admits peers by name and certificate, one stream of each at a time.

`transport` is the sending half.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from weftmesh.agent.raft.peers.stream import BATCH_BYTES_MAX, HELLO
from weftmesh.agent.raft.snapshots.stream import SnapshotContext, Take, receive_snapshot
from weftmesh.core.errors import ForbiddenError, UnauthenticatedError
from weftmesh.mesh.v1 import raft_pb2, raft_pb2_grpc
from weftmesh.runtime.identity.credentials import AuthContext, named_node
from weftmesh.runtime.identity.shown import certificate_of

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


class Peer(NamedTuple):
    """Who calls, and the certificate that says so, in PEM."""

    name: str
    certificate_pem: bytes


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
    """Admits members, and hands on what the newest stream of each of them brings.

    Args:
        cluster: this cluster's name.
        may_speak: whether a node, with this certificate in PEM, may speak to this one; asked for every batch, so a
            member that is removed or revoked is cut off.
        self_name: this node's name, which nobody else may bear.
    """

    def __init__(self, cluster: str, may_speak: Callable[[str, bytes], bool], self_name: str) -> None:
        self._cluster = cluster
        self._may_speak = may_speak
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
        if older := self._newest.get(peer.name):
            older.cancel()
        self._newest[peer.name] = ended
        await context.send_initial_metadata((HELLO,))
        self._admitted(peer.name)
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
            return self._take(peer.name, chunk) if self._may_speak(*peer) else None

        return await receive_snapshot(request_iterator, context, take)

    async def _admit(self, context: ExchangeContext | SnapshotContext) -> Peer:
        """A peer that may speak; aborts the call of any other."""
        if self._deliver is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "this node is starting or stopping")
        try:
            name = peer_name(context.auth_context(), self._cluster)
        except (UnauthenticatedError, ForbiddenError) as error:
            await context.abort(*self._refused(context, "unknown", str(error)))
            raise
        if name == self._self_name:
            reason = "this node's own name; two nodes must not share a certificate"
            await context.abort(*self._refused(context, name, reason))
        peer = Peer(name, certificate_of(context))
        if not self._may_speak(*peer):
            advice = "was it removed or given up, wipe its data directory and let it join again"
            reason = f"not a member of {self._cluster}, or no longer; {advice}"
            await context.abort(*self._refused(context, name, reason))
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
        peer: Peer,
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
                if not self._may_speak(*peer):
                    return self._refused(context, peer.name, f"no longer a member of {self._cluster}")
                loop.call_soon(self._hand_on, peer.name, stream, batch)
        except DecodeError:
            self._log(context, "malformed raft batch, stream dropped", peer.name, "malformed")
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
