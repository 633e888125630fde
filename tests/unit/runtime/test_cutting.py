"""Calls that are cut, in whatever moment: they hear why, as those do that wait for something to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import grpc
import pytest

from weftmesh.core.errors import UnauthenticatedError
from weftmesh.runtime.doors.cutting import RevocationInterceptor
from weftmesh.runtime.identity.shown import Context
from weftmesh.runtime.rpc import ErrorInterceptor, from_rpc_error, server_options
from weftmesh.runtime.rpc_gate import GateInterceptor, Ticket

SMALL = b"answer"
LARGE = bytes(3 * 1024 * 1024)
"""More than a connection takes while nobody reads."""
CHANNEL = (("grpc.http2.bdp_probe", 0),)
"""So that what a connection takes does not grow."""
WAIT_S = 30.0
FULL_S = 0.5
"""For answers to fill what a connection takes."""
CUT = (grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_REVOKED")
DONE = (grpc.StatusCode.OK, "")

Method = Callable[[bytes, Context], Any]


class Everybody:
    """Lets every call in, until the certificates are revoked."""

    def __init__(self) -> None:
        self.revoked = False
        self.revocations = RevocationInterceptor(self)

    def enter(self, method: str, context: Context) -> Ticket:
        return Ticket(nullcontext(), lambda: None)

    def bloated(self, context: Context) -> None:
        raise AssertionError

    def check_call(self, context: Context) -> None:
        if self.revoked:
            raise UnauthenticatedError("it is revoked", reason="CERTIFICATE_REVOKED")

    def revoke(self) -> None:
        self.revoked = True
        assert [self.revocations.cut() for _ in range(3)] == [1, 0, 0]

    def revoke_soon(self) -> None:
        """As soon as the call waits, before gRPC can have told that what it waits for is done."""
        asyncio.get_running_loop().call_soon(self.revoke)


class Moments(grpc.GenericRpcHandler):
    """Methods that have themselves cut, each in another moment."""

    def __init__(self, everybody: Everybody) -> None:
        self._revoke, self._revoke_soon = everybody.revoke, everybody.revoke_soon
        self.large_ones = 0
        """That got through."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        name = handler_call_details.method.rpartition("/")[2]
        make = grpc.unary_unary_rpc_method_handler if "one_answer" in name else grpc.unary_stream_rpc_method_handler
        return make(getattr(self, name))

    async def before_one_answer(self, _request: bytes, _context: Context) -> bytes:
        self._revoke_soon()
        await asyncio.sleep(WAIT_S)
        return SMALL

    async def in_the_headers_of_one_answer(self, _request: bytes, context: Context) -> bytes:
        self._revoke_soon()
        await context.send_initial_metadata((("a", "b"),))
        return SMALL

    async def after_one_answer(self, _request: bytes, _context: Context) -> bytes:
        self._revoke()
        return SMALL

    async def before_the_first(self, _request: bytes, _context: Context) -> AsyncIterator[bytes]:
        self._revoke_soon()
        await asyncio.sleep(WAIT_S)
        yield SMALL

    async def in_the_first(self, _request: bytes, _context: Context) -> AsyncIterator[bytes]:
        self._revoke_soon()
        yield SMALL
        await asyncio.sleep(WAIT_S)

    async def in_a_later_one(self, _request: bytes, _context: Context) -> AsyncIterator[bytes]:
        yield SMALL
        self._revoke_soon()
        yield SMALL
        await asyncio.sleep(WAIT_S)

    async def after_the_last(self, _request: bytes, _context: Context) -> AsyncIterator[bytes]:
        yield SMALL
        self._revoke()

    async def in_the_headers(self, _request: bytes, context: Context) -> None:
        self._revoke_soon()
        await context.send_initial_metadata((("a", "b"),))
        await asyncio.sleep(WAIT_S)

    async def in_the_first_that_is_written(self, _request: bytes, context: Context) -> None:
        self._revoke_soon()
        await context.write(SMALL)
        await asyncio.sleep(WAIT_S)

    async def in_a_later_one_that_is_written(self, _request: bytes, context: Context) -> None:
        await context.write(SMALL)
        self._revoke_soon()
        await context.write(SMALL)
        await asyncio.sleep(WAIT_S)

    async def large(self, _request: bytes, _context: Context) -> AsyncIterator[bytes]:
        while True:
            yield LARGE
            self.large_ones += 1

    async def large_after_small(self, _request: bytes, _context: Context) -> AsyncIterator[bytes]:
        yield SMALL
        while True:
            yield LARGE
            self.large_ones += 1

    async def large_that_is_written(self, _request: bytes, context: Context) -> None:
        while True:
            await context.write(LARGE)
            self.large_ones += 1


@asynccontextmanager
async def calling(tmp_path: Path, everybody: Everybody, moments: Moments) -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server(
        interceptors=[GateInterceptor(everybody), ErrorInterceptor(), everybody.revocations], options=server_options()
    )
    server.add_generic_rpc_handlers((moments,))
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s", CHANNEL) as channel:
            yield channel
    finally:
        await server.stop(None)


async def outcome(answering: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    try:
        await answering
    except grpc.aio.AioRpcError as error:
        return error.code(), from_rpc_error(error).reason
    return DONE


async def read_all(stream: Any) -> None:
    while await stream.read() is not grpc.aio.EOF:
        pass


@pytest.mark.parametrize(
    ("moment", "told"), [("before_one_answer", CUT), ("in_the_headers_of_one_answer", CUT), ("after_one_answer", DONE)]
)
async def test_a_call_with_one_answer_ends_in_whatever_moment_it_is_cut(
    tmp_path: Path, moment: str, told: tuple[grpc.StatusCode, str]
) -> None:
    everybody = Everybody()
    async with calling(tmp_path, everybody, Moments(everybody)) as channel:
        method: Any = channel.unary_unary(f"/a.B/{moment}")
        assert await outcome(method(b"", timeout=WAIT_S)) == told


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("before_the_first", CUT),
        ("in_the_first", CUT),
        ("in_a_later_one", CUT),
        ("after_the_last", DONE),
        ("in_the_headers", CUT),
        ("in_the_first_that_is_written", CUT),
        ("in_a_later_one_that_is_written", CUT),
    ],
)
async def test_a_stream_ends_in_whatever_moment_it_is_cut(
    tmp_path: Path, moment: str, told: tuple[grpc.StatusCode, str]
) -> None:
    everybody = Everybody()
    async with calling(tmp_path, everybody, Moments(everybody)) as channel:
        method: Any = channel.unary_stream(f"/a.B/{moment}")
        assert await outcome(read_all(method(b"", timeout=WAIT_S))) == told


@pytest.mark.parametrize("kind", ["large", "large_after_small", "large_that_is_written"])
async def test_a_stream_that_is_cut_within_an_answer_which_does_not_get_through_hears_why(
    tmp_path: Path, kind: str
) -> None:
    everybody = Everybody()
    moments = Moments(everybody)
    async with calling(tmp_path, everybody, moments) as channel:
        method: Any = channel.unary_stream(f"/a.B/{kind}")
        stream = method(b"", timeout=WAIT_S)
        if kind == "large_after_small":
            await stream.read()
        await stream.initial_metadata()  # it has begun
        await asyncio.sleep(FULL_S)  # nobody reads any more
        everybody.revoke()
        assert moments.large_ones == 0
        assert await outcome(read_all(stream)) == CUT
