"""Calls that are cut while their answer is being written: they hear why, as those do that wait for something to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import grpc

from weftmesh.core.errors import UnauthenticatedError
from weftmesh.runtime.doors.cutting import RevocationInterceptor
from weftmesh.runtime.identity.shown import Context
from weftmesh.runtime.rpc import ErrorInterceptor, from_rpc_error, server_options
from weftmesh.runtime.rpc_gate import GateInterceptor, Ticket

LARGE = bytes(1024 * 1024)
"""More than a connection takes while nobody reads."""
WAIT_S = 30.0


class Everybody:
    """Lets every call in, until the certificates are revoked."""

    def __init__(self) -> None:
        self.revoked = False

    def enter(self, method: str, context: Context) -> Ticket:
        return Ticket(nullcontext(), lambda: None)

    def bloated(self, context: Context) -> None:
        raise AssertionError

    def check_call(self, context: Context) -> None:
        if self.revoked:
            raise UnauthenticatedError("it is revoked", reason="CERTIFICATE_REVOKED")


class Talkative(grpc.GenericRpcHandler):
    """Answers for ever."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_stream_rpc_method_handler(self._talk)

    async def _talk(self, request: bytes, context: object) -> AsyncIterator[bytes]:
        while True:
            yield LARGE


async def test_a_call_that_is_cut_within_an_answer_hears_why(tmp_path: Path) -> None:
    everybody = Everybody()
    revocations = RevocationInterceptor(everybody)
    server = grpc.aio.server(
        interceptors=[GateInterceptor(everybody), ErrorInterceptor(), revocations], options=server_options()
    )
    server.add_generic_rpc_handlers((Talkative(),))
    server.add_insecure_port(f"unix:{tmp_path}/s")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s") as channel:
        method: Any = channel.unary_stream("/a.B/Talk")
        call = method(b"", timeout=WAIT_S)
        await call.read()
        await asyncio.sleep(0.5)  # nobody reads any more, and an answer does not get through
        everybody.revoked = True
        assert revocations.cut() == 1
        error: grpc.aio.AioRpcError | None = None
        try:
            while await call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as caught:
            error = caught
    await server.stop(None)
    assert error is not None
    assert (error.code(), from_rpc_error(error).reason) == (grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_REVOKED")
