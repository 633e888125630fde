"""The sending half of the transport: one stream to one peer, which is opened again whenever it ends."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import grpc
import grpc.aio
import structlog

from weftmesh.mesh.v1 import raft_pb2

ChannelFactory = Callable[[str, str], grpc.aio.Channel]
"""(node name, host:port) to a channel that accepts only that node, made with CHANNEL_OPTIONS. Called for every attempt,
so that a renewed certificate is used."""
ExchangeCall = grpc.aio.StreamStreamCall[bytes, raft_pb2.RaftBatch]

BATCH_BYTES_MAX: Final = 16 * 1024 * 1024
"""The largest RaftBatch; what is queued beyond it travels in the next one."""
QUEUE_BYTES_MAX: Final = 32 * 1024 * 1024
"""What may wait for one peer. A peer that is further behind is as good as gone: Raft sends again what it needs."""
QUEUE_MESSAGES_MAX: Final = 8_192

CONNECT_TIMEOUT_S: Final = 5.0
BACKOFF_MIN_S: Final = 0.05
BACKOFF_MAX_S: Final = 1.0
STABLE_S: Final = 2.0
"""A stream that lasted this long proves the peer well: the backoff begins again."""
LOG_INTERVAL_S: Final = 5.0
"""A peer whose failures keep changing is written about this often at most."""

EXCHANGE: Final = "/weftmesh.mesh.v1.RaftService/Exchange"
HELLO: Final = ("weftmesh-exchange", "1")
"""The initial metadata of a stream that was admitted; a refusal has initial metadata too, but without it."""

CHANNEL_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_send_message_length", BATCH_BYTES_MAX),
    ("grpc.max_receive_message_length", BATCH_BYTES_MAX),
    # a silent peer is noticed after time + timeout; the keepalive timeout alone is not enough, seen with grpcio 1.85
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # each attempt is a fresh channel and the backoff is ours: gRPC's, shared by address, would be added to it
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_TIMEOUT_S * 1000)),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
)

_log = structlog.get_logger(__name__)


class PeerStream:
    """Sends to one peer until `stop`. Create it on the event loop.

    Nothing is sent before the peer has answered: a stream that the network delivers late is empty, so the newest
    stream that a peer sees with messages in it is the newest that was opened.

    Args:
        name: the peer's node name.
        address: its host:port.
        dial: makes the channel.
        changed: called within the event loop, not within `send`, with True when the stream is up and with False
            when it is gone; strictly alternating, True first.
        rng: for the backoff's jitter.
    """

    def __init__(
        self,
        name: str,
        address: str,
        dial: ChannelFactory,
        changed: Callable[[bool], None],
        rng: random.Random,
        backoff_min_s: float = BACKOFF_MIN_S,
    ) -> None:
        self.address = address
        self.connected = False
        self._name = name
        self._dial = dial
        self._changed = changed
        self._rng = rng
        self._call: ExchangeCall | None = None
        self._queue: deque[bytes] = deque()
        self._queue_bytes = 0
        self._wake = asyncio.Event()
        self._hurried = asyncio.Event()
        self._backoff_min_s = backoff_min_s
        self._backoff_s = backoff_min_s
        self._begun_s = 0.0
        self._last_reason = ""
        self._logged_at_s = float("-inf")
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name=f"raft stream to {name}")

    def send(self, message: raft_pb2.RaftMessage) -> bool:
        """Queue a message; False when the stream is not up, or the message or the queue is too large."""
        if not self.connected:
            return False
        # serialized batches of one concatenate to one batch of all: that is how protobuf merges repeated fields
        encoded = raft_pb2.RaftBatch(messages=(message,)).SerializeToString()
        if len(encoded) > BATCH_BYTES_MAX:
            _log.error("raft message too large", peer=self._name, size_bytes=len(encoded), limit_bytes=BATCH_BYTES_MAX)
            return False
        if len(self._queue) >= QUEUE_MESSAGES_MAX or self._queue_bytes + len(encoded) > QUEUE_BYTES_MAX:
            _log.warning(
                "raft peer too slow, connecting again",
                peer=self._name,
                queue_messages=len(self._queue),
                queue_bytes=self._queue_bytes,
            )
            self._end()
            return False
        self._queue.append(encoded)
        self._queue_bytes += len(encoded)
        self._wake.set()
        return True

    def stop(self) -> asyncio.Task[None]:
        """Drop the stream for good. The returned task ends when its channel is closed."""
        self._end()
        self._task.cancel()
        return self._task

    def cut(self) -> None:
        """Drop the stream under way; another attempt follows, and whoever dials may refuse it."""
        self._end()

    def hurry(self) -> None:
        """The peer is known to be up: do not wait for the next attempt."""
        self._hurried.set()

    async def _run(self) -> None:
        while True:
            self._report(await self._attempt())
            self._hurried.clear()
            try:
                async with asyncio.timeout(self._backoff_s * self._rng.uniform(0.5, 1.0)):
                    await self._hurried.wait()
            except TimeoutError:
                self._backoff_s = min(self._backoff_s * 2, BACKOFF_MAX_S)

    async def _attempt(self) -> str:
        """Open a stream and write to it until it ends; returns why it ended."""
        channel: grpc.aio.Channel | None = None
        try:
            channel = self._dial(self._name, self.address)
            call: ExchangeCall = channel.stream_stream(EXCHANGE, response_deserializer=raft_pb2.RaftBatch.FromString)()
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                metadata = await call.initial_metadata()
            if metadata is not None and metadata.get(HELLO[0]) == HELLO[1]:
                self._begin(call)
                await self._write(call)
            return f"{(await call.code()).name}: {await call.details()}"
        except asyncio.CancelledError:
            # gRPC raises this out of a write whose call was cancelled, too
            if self._task.cancelling():
                raise
            return "dropped by this node"
        except TimeoutError:
            return f"no answer within {CONNECT_TIMEOUT_S:g} s"
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
        except Exception as error:  # noqa: BLE001 - a bad certificate file, a gRPC quirk: the next attempt must follow
            return repr(error)
        finally:
            self._end()
            if channel is not None:
                await channel.close()

    def _begin(self, call: ExchangeCall) -> None:
        self._call = call
        self.connected = True
        self._begun_s = time.monotonic()
        self._last_reason = ""
        self._loop.call_soon(self._changed, True)
        _log.info("raft stream up", peer=self._name, address=self.address)
        call.add_done_callback(lambda _: self._end())

    def _end(self) -> None:
        """Drop the stream under way and what is queued for it, if there is one."""
        if not self.connected:
            return
        self.connected = False
        if time.monotonic() - self._begun_s >= STABLE_S:
            self._backoff_s = self._backoff_min_s
        self._queue.clear()
        self._queue_bytes = 0
        self._wake.set()
        self._loop.call_soon(self._changed, False)
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    async def _write(self, call: ExchangeCall) -> None:
        while not call.done():
            if self._queue:
                await call.write(self._take_batch())
            else:
                self._wake.clear()
                await self._wake.wait()

    def _take_batch(self) -> bytes:
        parts: list[bytes] = []
        room_bytes = BATCH_BYTES_MAX
        while self._queue and len(self._queue[0]) <= room_bytes:
            parts.append(self._queue.popleft())
            room_bytes -= len(parts[-1])
        self._queue_bytes -= BATCH_BYTES_MAX - room_bytes
        return b"".join(parts)

    def _report(self, reason: str) -> None:
        now_s = time.monotonic()
        if reason != self._last_reason and now_s - self._logged_at_s >= LOG_INTERVAL_S:
            _log.warning("raft stream down", peer=self._name, address=self.address, reason=reason)
            self._last_reason = reason
            self._logged_at_s = now_s
