"""The server for metrics answers what it knows, and nobody's manners get in the way of others."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.metrics.http_server import CONNECTIONS_MAX, HEAD_BYTES_MAX, Answer, HttpServer

LONG = b"long " * 200_000


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    async def echo(headers: Mapping[str, str]) -> Answer:
        return Answer(headers.get("accept", "").encode())

    async def long(_headers: Mapping[str, str]) -> Answer:
        return Answer(LONG)

    server = HttpServer({"/echo": echo, "/long": long})
    yield await server.listen("127.0.0.1:0")
    await server.close()


async def exchange(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    writer.close()
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body


async def test_a_page_gets_the_headers_and_its_answer_is_measured(port: int) -> None:
    status, headers, body = await exchange(port, b"GET /echo?x=1 HTTP/1.1\r\nHost: h\r\nACCEPT:  a/b \r\n\r\n")
    assert (status, body) == (200, b"a/b")
    assert (headers["Content-Length"], headers["Connection"]) == ("3", "close")


async def test_head_gets_the_length_and_no_body(port: int) -> None:
    status, headers, body = await exchange(port, b"HEAD /long HTTP/1.1\r\n\r\n")
    assert (status, headers["Content-Length"], body) == (200, str(len(LONG)), b"")


async def test_a_long_answer_arrives_whole(port: int) -> None:
    assert (await exchange(port, b"GET /long HTTP/1.0\r\n\r\n"))[2] == LONG


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /other HTTP/1.1\r\n\r\n", 404),
        (b"GET http://h/echo HTTP/1.1\r\n\r\n", 400),
        (b"GET /echo SMTP\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 405),
        (b"GET /echo HTTP/1.1\r\nX: " + b"y" * (HEAD_BYTES_MAX + 1) + b"\r\n\r\n", 431),
    ],
)
async def test_what_it_does_not_take_is_answered_with_a_status(port: int, request_: bytes, status: int) -> None:
    assert (await exchange(port, request_))[0] == status


async def said(port: int) -> bytes:
    """What comes back, nothing from a server that hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(ConnectionError):
        writer.write(b"GET /echo HTTP/1.1\r\n\r\n")
        return await reader.read(-1)
    return b""


async def test_one_caller_too_many_is_turned_away_until_another_leaves(port: int) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]
    assert await said(port) == b""
    silent[0][1].close()
    async with asyncio.timeout(30):
        while not (await said(port)).startswith(b"HTTP/1.1 200"):  # noqa: ASYNC110, the server says nothing before
            await asyncio.sleep(0.05)
    for _, one in silent[1:]:
        one.close()


async def test_an_address_that_is_taken_is_named(port: int) -> None:
    with pytest.raises(PreconditionError, match=rf"127\.0\.0\.1:{port}.*\[metrics\] listen"):
        await HttpServer({}).listen(f"127.0.0.1:{port}")


async def test_a_socket_is_for_owner_and_group(tmp_path: Path) -> None:
    server = HttpServer({})
    await server.listen_beside(tmp_path / "m.sock")
    assert stat.S_IMODE((tmp_path / "m.sock").stat().st_mode) == 0o660
    with pytest.raises(PreconditionError, match="another process"):
        await HttpServer({}).listen_beside(tmp_path / "m.sock")
    await server.close()
