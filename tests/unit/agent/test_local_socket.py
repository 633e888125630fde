from __future__ import annotations

import asyncio
import os
import pwd
import random
import socket
import stat
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
import grpc.aio
import pytest
import uvloop
from tests.fakes.descriptors import descriptors_left

from weftmesh.agent.serving.accounts import Account, Accounts, account_of, user_name
from weftmesh.agent.serving.local_socket import (
    BUFFER_BYTES_MAX,
    LocalCaller,
    LocalSocketRelay,
    caller_from_peer,
)
from weftmesh.core.errors import ConfigError, PreconditionError
from weftmesh.runtime.rpc import channel_options

WAIT_S = 60.0
ME = LocalCaller(uid=os.getuid(), gid=os.getgid(), pid=os.getpid())
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the conditions are of many kinds
            await asyncio.sleep(0.005)


@asynccontextmanager
async def relay_in(path: Path, max_connections: int = 256) -> AsyncIterator[LocalSocketRelay]:
    relay = LocalSocketRelay(path / "api.sock", path / "up.sock", max_connections=max_connections)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.close()


@asynccontextmanager
async def grpc_server(path: Path) -> AsyncIterator[None]:
    """A server whose only method answers with the peer that the handler sees."""

    async def peer(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return context.peer().encode()

    server = grpc.aio.server()
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(peer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.Test", {"Peer": method}),))
    server.add_insecure_port(f"unix:{path / 'up.sock'}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


async def peer_seen(path: Path, options: Sequence[tuple[str, int]] = ()) -> str:
    async with grpc.aio.insecure_channel(f"unix:{path}", options=options) as channel:
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/t.Test/Peer")
        return (await ask(b"", timeout=WAIT_S, wait_for_ready=True)).decode()


@asynccontextmanager
async def upstream(path: Path, handle: Handler) -> AsyncIterator[None]:
    server = await asyncio.start_unix_server(handle, path / "up.sock")
    try:
        yield
    finally:
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def test_a_handler_learns_who_calls(tmp_path: Path) -> None:
    async with grpc_server(tmp_path), relay_in(tmp_path) as relay:
        for _ in range(3):
            assert caller_from_peer(await peer_seen(tmp_path / "api.sock"), relay.nonce) == ME


async def test_while_nobody_says_who_is_who_the_daemons_own_user_is_connected(tmp_path: Path) -> None:
    """A client gives an attempt up after seconds, and each further one would wait as long."""
    answers = threading.Event()

    def ask(uid: int, gid: int) -> Account:
        answers.wait(WAIT_S)
        return account_of(uid, gid)

    relay = LocalSocketRelay(tmp_path / "api.sock", tmp_path / "up.sock", accounts=Accounts(ask))
    async with grpc_server(tmp_path):
        await relay.start()
        try:
            assert caller_from_peer(await peer_seen(tmp_path / "api.sock", channel_options()), relay.nonce) == ME
        finally:
            answers.set()
            await relay.close()


async def test_who_does_not_come_through_the_relay_is_no_local_caller(tmp_path: Path) -> None:
    async with grpc_server(tmp_path), relay_in(tmp_path) as relay:
        assert caller_from_peer(await peer_seen(tmp_path / "up.sock"), relay.nonce) is None


async def test_no_part_of_an_address_can_be_made_up(tmp_path: Path) -> None:
    async with grpc_server(tmp_path), relay_in(tmp_path) as relay:
        peer = await peer_seen(tmp_path / "api.sock")
    assert caller_from_peer(peer, relay.nonce) == ME
    assert caller_from_peer(peer, bytes(32)) is None
    head, body = peer.split("weftmesh.", 1)
    fields = body.split(".")
    for number, other in enumerate(("12345", "12345", "12345", "12345", "0" * 32)):
        forged = ".".join([*fields[:number], other, *fields[number + 1 :]])
        assert caller_from_peer(f"{head}weftmesh.{forged}", relay.nonce) is None


@pytest.mark.parametrize(
    "peer", ["", "unix:", "ipv4:127.0.0.1:1", "unix-abstract:weftmesh.0.0.1.1.", "unix:%00weftmesh"]
)
def test_other_peers_are_no_local_callers(peer: str) -> None:
    assert caller_from_peer(peer, bytes(32)) is None


async def test_bytes_pass_unchanged_both_ways(tmp_path: Path) -> None:
    sent = os.urandom(4 * 1024 * 1024)
    async with upstream(tmp_path, echo), relay_in(tmp_path):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "api.sock")
        writer.write(sent)
        async with asyncio.timeout(WAIT_S):
            assert await reader.readexactly(len(sent)) == sent
        writer.close()


async def test_a_caller_that_does_not_read_holds_up_its_upstream_alone(tmp_path: Path) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while not writer.is_closing():
            writer.write(bytes(16_384))
            await writer.drain()
            sent += 16_384

    async with upstream(tmp_path, flood), relay_in(tmp_path):
        caller = socket.socket(socket.AF_UNIX)
        caller.setblocking(False)
        await asyncio.get_running_loop().sock_connect(caller, str(tmp_path / "api.sock"))
        await until(lambda: sent > 0)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 2 * BUFFER_BYTES_MAX + 2 * 1024 * 1024, "kernel buffers and ours"
        caller.close()


async def test_either_end_closes_both(tmp_path: Path) -> None:
    ends: list[str] = []

    async def one_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline() == b"bye\n":
            writer.write(b"bye")
            writer.close()
        ends.append("read")

    async with upstream(tmp_path, one_line), relay_in(tmp_path):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "api.sock")
        writer.write(b"bye\n")
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b"bye"
        _, writer = await asyncio.open_unix_connection(tmp_path / "api.sock")
        writer.close()
        await until(lambda: len(ends) == 2)


async def test_what_the_daemon_said_before_it_closed_reaches_the_caller(tmp_path: Path) -> None:
    said = asyncio.Event()

    async def last_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"gone")
        writer.close()
        said.set()

    async with upstream(tmp_path, last_words), relay_in(tmp_path) as relay:
        reader, writer = await asyncio.open_unix_connection(tmp_path / "api.sock")
        writer.write(b"leave\n")
        await said.wait()
        await relay.close()
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b"gone"


async def test_callers_that_leave_at_any_moment_disturb_nobody(tmp_path: Path) -> None:
    rng = random.Random(7)

    async def caller() -> bool:
        """Leaves at once, or stays for an answer."""
        sent = rng.randbytes(rng.randrange(1, 200_000))
        reader, writer = await asyncio.open_unix_connection(tmp_path / "api.sock")
        manner = rng.choice(("stay", "leave", "never speak"))
        if manner != "never speak":
            writer.write(sent)
        received = await reader.readexactly(len(sent)) if manner == "stay" else sent
        writer.transport.abort()
        return received == sent

    async with upstream(tmp_path, echo), relay_in(tmp_path):
        async with asyncio.timeout(WAIT_S):
            for _ in range(20):
                assert all(await asyncio.gather(*(caller() for _ in range(20))))


async def test_connections_beyond_the_limit_are_closed_and_room_is_found_again(tmp_path: Path) -> None:
    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            writer.write(b"x")
            async with asyncio.timeout(WAIT_S):
                return await reader.read(1) == b"x"
        except ConnectionError:
            return False

    async with upstream(tmp_path, echo), relay_in(tmp_path, max_connections=1):
        first = await asyncio.open_unix_connection(tmp_path / "api.sock")
        assert await answered(*first)
        assert not await answered(*await asyncio.open_unix_connection(tmp_path / "api.sock"))
        assert await answered(*first)
        first[1].close()
        async with asyncio.timeout(WAIT_S):
            while not await answered(*await asyncio.open_unix_connection(tmp_path / "api.sock")):
                pass


async def test_a_caller_is_let_go_while_the_daemon_is_not_there(tmp_path: Path) -> None:
    async with relay_in(tmp_path):
        reader, _ = await asyncio.open_unix_connection(tmp_path / "api.sock")
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b""
        async with upstream(tmp_path, echo):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "api.sock")
            writer.write(b"x")
            async with asyncio.timeout(WAIT_S):
                assert await reader.readexactly(1) == b"x"
            writer.close()


async def test_a_caller_is_let_go_while_the_daemon_has_no_descriptor_left(tmp_path: Path) -> None:
    async with relay_in(tmp_path):
        loop = asyncio.get_running_loop()
        # The relay's end of the connection gets the last one; what it needs towards the daemon is one too many.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as caller, descriptors_left(1):
            await loop.sock_connect(caller, str(tmp_path / "api.sock"))
            async with asyncio.timeout(WAIT_S):
                assert await loop.sock_recv(caller, 1) == b""


async def test_the_socket_has_its_mode_and_goes_with_the_relay(tmp_path: Path) -> None:
    async with relay_in(tmp_path):
        assert stat.S_IMODE((tmp_path / "api.sock").stat().st_mode) == 0o660
    assert not (tmp_path / "api.sock").exists()


async def test_a_dead_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "api.sock"))
    dead.close()
    async with relay_in(tmp_path):
        with pytest.raises(PreconditionError, match="another process listens"):
            await LocalSocketRelay(tmp_path / "api.sock", tmp_path / "up.sock").start()
        await asyncio.open_unix_connection(tmp_path / "api.sock")


async def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "api.sock").write_text("mine")
    with pytest.raises(PreconditionError, match="not a socket"):
        await LocalSocketRelay(tmp_path / "api.sock", tmp_path / "up.sock").start()
    assert (tmp_path / "api.sock").read_text() == "mine"


async def test_a_socket_that_somebody_else_made_meanwhile_is_left_alone(tmp_path: Path) -> None:
    async with relay_in(tmp_path):
        (tmp_path / "api.sock").unlink()
        (tmp_path / "api.sock").write_text("another's")
    assert (tmp_path / "api.sock").exists()


@pytest.mark.parametrize(("name", "group"), [("api.sock", "no-such-group"), ("x" * 120, None), ("no/api.sock", None)])
async def test_a_socket_that_cannot_be_made_says_so(tmp_path: Path, name: str, group: str | None) -> None:
    with pytest.raises(ConfigError, match=name):
        await LocalSocketRelay(tmp_path / name, tmp_path / "up.sock", group=group).start()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "test",
    [
        test_a_handler_learns_who_calls,
        test_bytes_pass_unchanged_both_ways,
        test_a_caller_that_does_not_read_holds_up_its_upstream_alone,
        test_either_end_closes_both,
        test_what_the_daemon_said_before_it_closed_reaches_the_caller,
        test_callers_that_leave_at_any_moment_disturb_nobody,
        test_connections_beyond_the_limit_are_closed_and_room_is_found_again,
        test_a_caller_is_let_go_while_the_daemon_is_not_there,
    ],
)
def test_uvloop_makes_no_difference(test: Callable[[Path], Coroutine[None, None, None]], tmp_path: Path) -> None:
    uvloop.run(test(tmp_path))


def test_a_user_has_a_name_or_a_number() -> None:
    assert user_name(0) == pwd.getpwuid(0).pw_name
    assert user_name(4_000_000_123) == "4000000123"
