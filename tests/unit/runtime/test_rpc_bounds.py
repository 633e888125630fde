"""Each bound that servers set does what its name says: gRPC ignores names that it does not know without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.hostile import frames
from tests.hostile.frames import ACK, END_HEADERS, frame

from weftmesh.runtime.rpc import METADATA_BYTES_ABSOLUTE_MAX, server_options

SOON_MS = 300
WAIT_S = 30.0
REFUSED_STREAM = b"\x00\x00\x04\x03\x00"
"""How an RST_STREAM begins: four bytes, and no flags."""


class Waiting(grpc.GenericRpcHandler):
    """Calls that are not answered."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_unary_rpc_method_handler(_wait)


async def _wait(request: bytes, context: object) -> bytes:
    if request == b"wait":
        await asyncio.sleep(3600)
    return request


class Client:
    """Frames by hand, and what comes back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._heard = b""

    def say(self, *pieces: bytes) -> None:
        self._writer.write(b"".join(pieces))

    async def hears(self, what: bytes) -> None:
        """Return once `what` has come."""
        async with asyncio.timeout(WAIT_S):
            while what not in self._heard:
                data = await self._reader.read(65_536)
                assert data, f"closed before {what!r}, after {self._heard[-200:]!r}"
                self._heard += data

    async def closed(self) -> bytes:
        """All that came before the server closed."""
        async with asyncio.timeout(WAIT_S):
            try:
                while data := await self._reader.read(65_536):
                    self._heard += data
            except ConnectionError:
                return self._heard
        return self._heard

    async def hang_up(self) -> None:
        self._writer.close()


@asynccontextmanager
async def server(directory: Path, **changed: int) -> AsyncIterator[Any]:
    """A server with our options, but for those that are changed; yields what connects to it."""
    options = dict(server_options())
    for name, value in changed.items():
        whole = next((one for one in options if one.removeprefix("grpc.").replace(".", "_") == name), f"grpc.{name}")
        options[whole] = value
    running = grpc.aio.server(options=list(options.items()))
    running.add_generic_rpc_handlers((Waiting(),))
    running.add_insecure_port(f"unix:{directory}/s")
    await running.start()
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_unix_connection(f"{directory}/s")))
        return clients[-1]

    try:
        yield connect
    finally:
        for client in clients:
            await client.hang_up()
        await running.stop(None)


@pytest.mark.parametrize("said", [b"", frames.PREFACE[:10], frames.PREFACE])
async def test_whoever_does_not_begin_in_time_is_cut(tmp_path: Path, said: bytes) -> None:
    async with server(tmp_path, server_handshake_timeout_ms=SOON_MS) as connect:
        client = await connect()
        client.say(said)
        assert b"before handshake timeout" in await client.closed()


async def test_whoever_does_not_acknowledge_our_settings_is_cut(tmp_path: Path) -> None:
    async with server(tmp_path, http2_settings_timeout=SOON_MS) as connect:
        client = await connect()
        client.say(frames.opening())
        assert b"settings_timeout" in await client.closed()


async def test_a_connection_without_calls_is_closed(tmp_path: Path) -> None:
    async with server(tmp_path, max_connection_idle_ms=SOON_MS) as connect:
        client = await connect()
        client.say(frames.opening(), frame(frames.SETTINGS, ACK))
        assert b"connection idle" in await client.closed()


async def test_a_connection_that_answers_no_ping_is_closed(tmp_path: Path) -> None:
    changed = {"keepalive_time_ms": 1_000, "keepalive_timeout_ms": SOON_MS, "http2_ping_timeout_ms": SOON_MS}
    async with server(tmp_path, **changed) as connect:
        client = await connect()
        client.say(frames.opening(), frame(frames.SETTINGS, ACK))
        assert b"ping_timeout" in await client.closed()


async def test_pings_that_come_too_often_end_the_connection(tmp_path: Path) -> None:
    async with server(tmp_path) as connect:
        client = await connect()
        client.say(frames.opening(), frame(frames.SETTINGS, ACK))
        await client.hears(frame(frames.SETTINGS, ACK))
        client.say(*[frame(frames.PING, payload=bytes(8))] * 5)
        assert b"too_many_pings" in await client.closed()


async def test_calls_beyond_those_of_one_connection_are_broken_off(tmp_path: Path) -> None:
    async with server(tmp_path, max_concurrent_streams=2) as connect:
        client = await connect()
        client.say(frames.opening(), frame(frames.SETTINGS, ACK))
        for stream in (1, 3, 5):
            client.say(frames.call_headers(stream, "/t/Wait"), frames.message(stream, b"wait"))
        await client.hears(REFUSED_STREAM + bytes((0, 0, 0, 5)))


async def test_headers_beyond_their_bound_are_refused(tmp_path: Path) -> None:
    async with server(tmp_path) as connect:
        client = await connect()
        client.say(frames.opening())
        await client.hears(frame(frames.SETTINGS, ACK))
        client.say(frame(frames.SETTINGS, ACK))
        block = frames.block(frames.request_fields("/t/Echo", further=[("x", "y" * METADATA_BYTES_ABSOLUTE_MAX)]))
        client.say(
            frame(frames.HEADERS, 0, 1, block[:16_000]), frame(frames.CONTINUATION, END_HEADERS, 1, block[16_000:])
        )
        client.say(frames.message(1, b"hi"))
        await client.hears(b"grpc-status\x018")


async def test_a_message_beyond_its_bound_is_refused_by_what_it_announces(tmp_path: Path) -> None:
    async with server(tmp_path) as connect:
        client = await connect()
        client.say(frames.opening(), frame(frames.SETTINGS, ACK), frames.call_headers(1, "/t/Echo"))
        client.say(frames.message(1, b"no more than this", length_bytes=5 * 1024 * 1024, end=False))
        await client.hears(b"grpc-status\x018")


async def test_connections_beyond_their_bound_are_closed_and_others_served(tmp_path: Path) -> None:
    async with server(tmp_path, max_allowed_incoming_connections=2) as connect:
        first = [await connect() for _ in range(2)]
        for client in first:
            client.say(frames.opening(), frame(frames.SETTINGS, ACK))
            await client.hears(frame(frames.SETTINGS, ACK))
        third = await connect()
        assert await third.closed() == b""
        first[0].say(frames.call_headers(1, "/t/Echo"), frames.message(1, b"hi"))
        await first[0].hears(b"grpc-status\x010")
