"""A connection over a link with a long way is made at the first attempt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from weftmesh.runtime import rpc

ONE_WAY_S = 0.15
"""The first frame comes after more than the shortest pause between two attempts."""


async def echo(request: bytes, _: object) -> bytes:
    return request


async def delayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes, each piece so much later."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def hand_on() -> None:
        while True:
            due_s, piece = await pieces.get()
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            if not piece:
                writer.close()
                return
            writer.write(piece)

    async with asyncio.TaskGroup() as group:
        group.create_task(hand_on())
        piece = b"."
        while piece:
            piece = await reader.read(65_536)
            pieces.put_nowait((time.monotonic() + ONE_WAY_S, piece))


@asynccontextmanager
async def link_to(server: Path, path: Path) -> AsyncIterator[str]:
    """The address of a link to a server's socket."""

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(server)
        await asyncio.gather(delayed(reader, far_writer), delayed(far_reader, writer))

    async with await asyncio.start_unix_server(joined, path):
        yield f"unix:{path}"


async def test_a_long_way_takes_one_attempt(tmp_path: Path) -> None:
    server = grpc.aio.server()
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Echo": method}),))
    server.add_insecure_port(f"unix:{tmp_path}/server")
    await server.start()
    async with (
        link_to(tmp_path / "server", tmp_path / "link") as address,
        grpc.aio.insecure_channel(address, options=rpc.channel_options()) as channel,
    ):
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Echo/Echo")
        assert await call(b"hello", timeout=30) == b"hello"
    await server.stop(grace=None)
