"""Streams end with the right that opened them, also where nobody tells of the change."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.fakes.servicer_context import CallContext, node_context
from tests.unit.agent.access.access_bench import NODE, AccessBench
from tests.unit.agent.test_trust_gate import authority, material

from weftmesh.agent.access.enforcing import Enforcement
from weftmesh.agent.access.journal import Note
from weftmesh.agent.access.supervision import StreamedWrites
from weftmesh.agent.serving.accounts import ACCOUNTS
from weftmesh.agent.serving.callers import Callers
from weftmesh.board.v1 import board_pb2
from weftmesh.core.errors import ForbiddenError, OverloadedError
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel, server_credentials
from weftmesh.runtime.rpc import ErrorInterceptor

CLUSTER = "lab"
NONCE = b"n" * 32
WATCH = "/weftmesh.board.v1.BoardService/Watch"
LARGE = bytes(3 * 1024 * 1024)
"""More than a connection takes while nobody reads."""


class Notes:
    """A journal in memory."""

    def __init__(self) -> None:
        self.taken: list[Note] = []

    def note(self, note: Note) -> None:
        self.taken.append(note)

    def check(self) -> None:
        pass


class Bench:
    """Node n1, of whose mesh n2 is a member until it is removed."""

    def __init__(self, directory: Path) -> None:
        self.members = {"n1", "n2"}
        self.notes = Notes()
        self.callers = Callers("n1", CLUSTER, NONCE, lambda node: node in self.members)
        self.authorizer = AccessBench(directory).authorizer
        self.enforcement = Enforcement(self.authorizer, self.callers, self.notes, look_interval_s=0.05)

    async def watch(self) -> AsyncGenerator[int, None]:
        """A watch of n2, behind the gate."""

        async def forever(_request: object, _context: object) -> AsyncIterator[int]:
            yield 1
            await asyncio.Event().wait()

        async def found(_details: object) -> Any:
            return grpc.unary_stream_rpc_method_handler(forever)

        handler: Any = await self.enforcement.intercept_service(found, Details())
        stream: AsyncGenerator[int, None] = handler.unary_stream(board_pb2.WatchRequest(), node_context("n2", CLUSTER))
        return stream


class Details(grpc.HandlerCallDetails):
    """Of a watch."""

    method = WATCH
    invocation_metadata = ()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_a_watch_ends_when_its_node_is_no_member_any_more(bench: Bench) -> None:
    stream = await bench.watch()
    assert await anext(stream) == 1
    bench.members.remove("n2")
    with pytest.raises(ForbiddenError, match="n2 is not a member"):
        async with asyncio.timeout(20):
            await anext(stream)


async def test_a_watch_that_ends_while_an_answer_is_written_says_why(bench: Bench) -> None:
    async def write_all() -> None:
        async with asyncio.timeout(10), aclosing(await bench.watch()) as stream:
            async for _ in stream:
                bench.members.discard("n2")
                await asyncio.Event().wait()  # as one that is not taken

    with pytest.raises(ForbiddenError, match="not a member"):
        await write_all()


class LargeWatch(grpc.GenericRpcHandler):
    """A watch whose first answer does not get through."""

    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        return grpc.unary_stream_rpc_method_handler(self._watch, board_pb2.WatchRequest.FromString)

    async def _watch(self, _request: object, _context: object) -> AsyncIterator[bytes]:
        yield LARGE
        raise AssertionError("it got through")


async def read_all(stream: Any) -> None:
    while await stream.read() is not grpc.aio.EOF:
        pass


async def test_the_client_of_a_watch_hears_why_it_ended_also_within_the_first_answer(bench: Bench) -> None:
    lab = authority()
    server = grpc.aio.server(interceptors=[ErrorInterceptor(), bench.enforcement])
    server.add_generic_rpc_handlers((LargeWatch(),))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(NodeIdentity(material(lab, "n1"))))
    await server.start()
    caller, address = NodeIdentity(material(lab, "n2")), f"127.0.0.1:{port}"
    # Without the probe, what a connection takes does not grow.
    async with open_channel(caller, "n1", address, [("grpc.http2.bdp_probe", 0)]) as channel:
        method: Any = channel.unary_stream(WATCH)
        watch = method(b"", timeout=30)
        await watch.initial_metadata()
        bench.members.remove("n2")
        await asyncio.sleep(0.3)  # nobody reads, and the gate looks
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read_all(watch)
    await server.stop(None)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_stream_takes_no_write_of_a_node_that_is_no_member_any_more(bench: Bench) -> None:
    judge = StreamedWrites(bench.authorizer, bench.callers, NODE, b"", bench.notes)
    write = board_pb2.WriteRequest(delete_project=board_pb2.DeleteProjectRequest(name="projects/OPEN"))
    judge.admit(write)
    bench.members.remove("n2")
    with pytest.raises(ForbiddenError):
        judge.admit(write)
    assert [note.decision for note in bench.notes.taken] == [None]


def test_a_refusal_is_noted_also_of_a_caller_whom_the_directory_does_not_name(bench: Bench) -> None:
    uid = 4_000_000_124
    body = f"weftmesh.{uid}.{uid}.1.1"
    signature = hashlib.blake2b(body.encode(), key=NONCE, digest_size=16).hexdigest()
    context: Any = CallContext(f"unix-abstract:{body}.{signature}")
    ACCOUNTS.arrive(uid, uid)
    try:
        bench.enforcement.note_refusal(WATCH, context, OverloadedError("too often", reason="RATE_LIMITED"))
    finally:
        ACCOUNTS.leave(uid, uid)
    (noted,) = bench.notes.taken
    assert (noted.caller.actor, noted.caller.uid) == (f"{uid}@n1", uid)
    assert isinstance(noted.error, OverloadedError)
    assert noted.error.reason == "RATE_LIMITED"
