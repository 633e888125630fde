"""Snapshots between peers: each in a call and a connection of its own, so that no message ever waits behind one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NoReturn

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from weftmesh.agent.raft.peers.stream import ChannelFactory
from weftmesh.core.errors import DataCorruptionError, WeftmeshError
from weftmesh.mesh.v1 import raft_pb2

Read = Callable[[int], bytes]
"""The piece of a snapshot at an offset."""
Sent = Callable[[str, raft_pb2.InstallSnapshotResponse | None], None]
Take = Callable[[str, raft_pb2.SnapshotChunk], raft_pb2.InstallSnapshotResponse | None]
SnapshotContext = grpc.aio.ServicerContext[raft_pb2.SnapshotChunk, raft_pb2.InstallSnapshotResponse]
SnapshotCall = grpc.aio.StreamUnaryCall[Any, raft_pb2.InstallSnapshotResponse]

INSTALL: Final = "/weftmesh.mesh.v1.RaftService/InstallSnapshot"
OFFSET_KEY: Final = "weftmesh-offset"
"""The initial metadata that answers an offer: where the chunks have to begin."""
STEP_TIMEOUT_S: Final = 30.0
"""For a peer to take one chunk, or to answer."""

_log = structlog.get_logger(__name__)


class SnapshotSender:
    """The sending half: at most one call to each peer. gRPC's flow control is the only queue.

    Args:
        dial: makes the channel of each call.
        sent: called within the event loop, not within `begin`, when a call is over.
    """

    def __init__(self, dial: ChannelFactory, sent: Sent) -> None:
        self._dial = dial
        self._sent = sent
        self._calls: dict[str, asyncio.Task[raft_pb2.InstallSnapshotResponse | None]] = {}

    def begin(self, peer: str, address: str, offer: raft_pb2.SnapshotChunk, read: Read) -> bool:
        """Send what `read` gives to a peer; False when one is on its way there."""
        if peer in self._calls:
            return False
        task = asyncio.get_running_loop().create_task(
            self._call(peer, address, offer, read), name=f"snapshot to {peer}"
        )
        self._calls[peer] = task
        task.add_done_callback(lambda task: self._over(peer, task))
        return True

    def drop(self, peer: str) -> None:
        """End the call to a peer, if there is one."""
        if task := self._calls.get(peer):
            task.cancel()

    async def close(self) -> None:
        """End every call."""
        tasks = list(self._calls.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _over(self, peer: str, task: asyncio.Task[raft_pb2.InstallSnapshotResponse | None]) -> None:
        del self._calls[peer]
        self._sent(peer, None if task.cancelled() else task.result())

    async def _call(
        self, peer: str, address: str, offer: raft_pb2.SnapshotChunk, read: Read
    ) -> raft_pb2.InstallSnapshotResponse | None:
        try:
            async with self._dial(peer, address) as channel:
                return await _send(channel, offer, read)
        except grpc.aio.AioRpcError as error:
            reason = f"{error.code().name}: {error.details()}"
        except TimeoutError:
            reason = f"no progress within {STEP_TIMEOUT_S:g} s"
        except (WeftmeshError, OSError, asyncio.InvalidStateError) as error:
            reason = repr(error)
        _log.warning("snapshot not sent", peer=peer, index=offer.index, reason=reason)
        return None


async def _send(
    channel: grpc.aio.Channel, offer: raft_pb2.SnapshotChunk, read: Read
) -> raft_pb2.InstallSnapshotResponse:
    """Offer a snapshot and send what the peer wants of it; a peer that answers early wants no more."""
    call: SnapshotCall = channel.stream_unary(
        INSTALL,
        request_serializer=raft_pb2.SnapshotChunk.SerializeToString,
        response_deserializer=raft_pb2.InstallSnapshotResponse.FromString,
    )()
    async with asyncio.timeout(STEP_TIMEOUT_S):
        await call.write(offer)
        offset = await _wanted(call, offer)
    while offset < offer.size_bytes and not call.done():
        chunk = raft_pb2.SnapshotChunk()
        chunk.CopyFrom(offer)
        chunk.offset, chunk.data = offset, await asyncio.to_thread(read, offset)
        if not chunk.data:
            raise DataCorruptionError(f"snapshot {offer.index} ends at byte {offset} of {offer.size_bytes}")
        async with asyncio.timeout(STEP_TIMEOUT_S):
            await call.write(chunk)
        offset += len(chunk.data)
    async with asyncio.timeout(STEP_TIMEOUT_S):
        await call.done_writing()
        return await call


async def _wanted(call: SnapshotCall, offer: raft_pb2.SnapshotChunk) -> int:
    metadata = await call.initial_metadata()
    wanted = None if metadata is None else metadata.get(OFFSET_KEY)
    # without it the call was refused, and its status says why
    return int(wanted) if isinstance(wanted, str) and wanted.isdecimal() else offer.size_bytes


async def receive_snapshot(
    chunks: AsyncIterator[raft_pb2.SnapshotChunk],
    context: SnapshotContext,
    take: Callable[[raft_pb2.SnapshotChunk], raft_pb2.InstallSnapshotResponse | None],
) -> raft_pb2.InstallSnapshotResponse:
    """The receiving half of one admitted call: hands on chunk after chunk until one is answered out of turn.

    Args:
        chunks: what the peer sends.
        context: of the call.
        take: answers a chunk; None ends the call.
    """
    answer = raft_pb2.InstallSnapshotResponse()
    offered = False
    try:
        async for chunk in chunks:
            taken = take(chunk)
            if taken is None:
                await _end(context)
            answer = taken
            if not offered:
                offered = True
                await context.send_initial_metadata(((OFFSET_KEY, str(answer.next_offset)),))
            elif answer.next_offset != chunk.offset + len(chunk.data):
                break
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "malformed SnapshotChunk; do both nodes run one version?")
    return answer


async def _end(context: SnapshotContext) -> NoReturn:
    await context.abort(grpc.StatusCode.ABORTED, "this snapshot is not taken; the log of this node says why")
    raise AssertionError("unreachable: abort raises")
