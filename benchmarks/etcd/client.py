"""A client of etcd over grpc.aio: as thin as one can be, so that the library costs etcd nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from benchmarks.etcd.schema import messages


@dataclass(frozen=True, slots=True)
class Watched:
    """What one message of a watch brought.

    Attributes:
        created: the watch is in place; comes first, without revisions.
        revisions: of the keys that were put, in order.
    """

    created: bool
    revisions: Sequence[int]


class EtcdClient:
    """Calls one member. Errors are grpc.aio.AioRpcError: nothing is retried."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        pb = self._pb = messages()
        self._put = _unary(channel, "KV/Put", pb.PutRequest, pb.PutResponse)
        self._txn = _unary(channel, "KV/Txn", pb.TxnRequest, pb.TxnResponse)
        self._range = _unary(channel, "KV/Range", pb.RangeRequest, pb.RangeResponse)
        self._status = _unary(channel, "Maintenance/Status", pb.StatusRequest, pb.StatusResponse)
        self._watch: Any = channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=pb.WatchRequest.SerializeToString,
            response_deserializer=pb.WatchResponse.FromString,
        )

    async def put(self, key: bytes, value: bytes, timeout_s: float) -> int:
        """Put a key; the store's revision after it."""
        answer = await self._put(self._pb.PutRequest(key=key, value=value), timeout=timeout_s)
        return int(answer.header.revision)

    async def put_all(self, pairs: Sequence[tuple[bytes, bytes]], timeout_s: float) -> int:
        """Put keys, all different, in one transaction; the store's revision after it."""
        request = self._pb.TxnRequest()
        for key, value in pairs:
            request.success.add(request_put=self._pb.PutRequest(key=key, value=value))
        return int((await self._txn(request, timeout=timeout_s)).header.revision)

    async def revision(self, timeout_s: float) -> int:
        """The store's revision, linearizable."""
        answer = await self._range(self._pb.RangeRequest(key=b"\0", count_only=True), timeout=timeout_s)
        return int(answer.header.revision)

    async def count(self, key: bytes, range_end: bytes, timeout_s: float) -> int:
        """How many keys there are from `key` up to, but not including, `range_end`; linearizable."""
        request = self._pb.RangeRequest(key=key, range_end=range_end, count_only=True)
        return int((await self._range(request, timeout=timeout_s)).count)

    async def is_leader(self, timeout_s: float) -> bool | None:
        """Whether this member leads; None when it knows of no leader."""
        answer = await self._status(self._pb.StatusRequest(), timeout=timeout_s)
        return bool(answer.leader == answer.header.member_id) if answer.leader else None

    async def watch(self, key: bytes, range_end: bytes) -> AsyncGenerator[Watched, None]:
        """What is put from now on under keys from `key` up to, but not including, `range_end`."""
        call = self._watch()
        try:
            create = self._pb.WatchCreateRequest(key=key, range_end=range_end)
            await call.write(self._pb.WatchRequest(create_request=create))
            while (answer := await call.read()) is not grpc.aio.EOF:
                yield Watched(answer.created, [event.kv.mod_revision for event in answer.events])
        finally:
            call.cancel()


@asynccontextmanager
async def connect(address: str, directory: Path) -> AsyncIterator[EtcdClient]:
    """A client of the member at "host:port" with ca.pem, node.pem and node.key of `directory`."""
    authority, key, chain = ((directory / name).read_bytes() for name in ("ca.pem", "node.key", "node.pem"))
    credentials = grpc.ssl_channel_credentials(authority, key, chain)
    async with grpc.aio.secure_channel(address, credentials) as channel:
        yield EtcdClient(channel)


def _unary(channel: grpc.aio.Channel, method: str, request: Any, response: Any) -> Any:
    return channel.unary_unary(
        f"/etcdserverpb.{method}",
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )
