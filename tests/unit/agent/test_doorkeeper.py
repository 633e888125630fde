"""Real connections on a real port: whom the doorkeeper cuts, and whom it leaves alone."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.descriptors import descriptors_left, open_files

from weftmesh.runtime.config import load_config
from weftmesh.runtime.doors.doorkeeper import (
    CONNECTIONS_A_TURN,
    CONNECTIONS_SEARCHED,
    PROOF_S,
    STRIKES,
    UNPROVEN_BYTES_MAX,
    Connections,
    Doorkeeper,
)
from weftmesh.runtime.doors.refusals import Refusals

LIMITS = replace(load_config(None, environment={}, host="n1").limits, connections=100, connections_per_address=100)


class Port:
    """A listener, both ends of what connects to it, and its doorkeeper with a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.clients: list[socket.socket] = []
        self.accepted: list[socket.socket] = []
        self.refusals = Refusals(self._clock)
        self.connections = Connections(self._clock)
        port = self.listener.getsockname()[1]
        self.doorkeeper = Doorkeeper(lambda: {port}, self.connections, LIMITS, self.refusals, self._clock)

    def _clock(self) -> float:
        return self.now_s

    def connect(self, host: str = "127.0.0.1") -> int:
        """Open one more connection from `host`; its number."""
        client = socket.create_connection(self.listener.getsockname(), timeout=10, source_address=(host, 0))
        self.clients.append(client)
        self.accepted.append(self.listener.accept()[0])
        return len(self.clients) - 1

    def peer(self, number: int) -> str:
        host, port = self.clients[number].getsockname()
        return f"ipv4:{host}:{port}"

    def open(self) -> list[int]:
        """The numbers of those that are not cut."""
        return [number for number, client in enumerate(self.clients) if _is_open(client)]

    def close(self) -> None:
        for end in (self.listener, *self.clients, *self.accepted):
            end.close()


def _is_open(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


@pytest.fixture
def port() -> Iterator[Port]:
    port = Port()
    yield port
    port.close()


async def test_connections_within_all_limits_stay(port: Port) -> None:
    for _ in range(10):
        port.connect()
    assert await port.doorkeeper.sweep() == 0
    assert port.open() == list(range(10))


async def test_of_an_address_with_too_many_the_proven_and_the_newest_stay(port: Port) -> None:
    port.doorkeeper.follow(replace(LIMITS, connections_per_address=3))
    for _ in range(5):
        port.connect()
        port.now_s += 1
        await port.doorkeeper.sweep()
        if port.now_s == 1:
            port.connections.proven(port.peer(0))
    port.connect("127.0.0.2")
    await port.doorkeeper.sweep()
    assert port.open() == [0, 3, 4, 5]
    assert port.refusals.by_reason["TOO_MANY_CONNECTIONS"] == 2


async def test_of_too_many_in_all_the_proven_stay(port: Port) -> None:
    port.doorkeeper.follow(replace(LIMITS, connections=2))
    for number in range(6):
        port.connect(f"127.0.0.{number + 1}")
    port.connections.proven(port.peer(2))
    port.connections.proven(port.peer(4))
    assert await port.doorkeeper.sweep() == 4
    assert port.open() == [2, 4]


async def test_whoever_makes_no_call_with_a_certificate_is_cut_after_a_while(port: Port) -> None:
    port.connect()
    port.connect()
    port.connections.proven(port.peer(1))
    await port.doorkeeper.sweep()
    port.now_s = PROOF_S + 1
    await port.doorkeeper.sweep()
    assert port.open() == [1]
    assert port.refusals.by_reason["CONNECTION_UNPROVEN"] == 1


async def test_whoever_comes_and_proves_himself_during_a_sweep_has_done_so(port: Port) -> None:
    for _ in range(CONNECTIONS_A_TURN + 1):
        port.connect()
    sweep = asyncio.create_task(port.doorkeeper.sweep())
    await asyncio.sleep(0)  # it has listed the descriptors, and lets others have their turn
    late = port.connect()
    port.connections.proven(port.peer(late))
    assert await sweep == 0
    await port.doorkeeper.sweep()
    port.now_s = PROOF_S + 1
    await port.doorkeeper.sweep()
    assert port.open() == [late]


async def test_files_that_come_and_go_meanwhile_are_neither_cut_nor_kept_open(port: Port, tmp_path: Path) -> None:
    """Numbers of descriptors are used again at once, by other threads."""
    port.doorkeeper.follow(replace(LIMITS, connections=1))
    path, stopped = tmp_path / "file", threading.Event()

    def use_numbers() -> None:
        while not stopped.is_set():
            with path.open("wb") as file, socket.socket():
                file.write(b"x")

    using = threading.Thread(target=use_numbers)
    using.start()
    try:
        for _ in range(200):
            port.connect()
            await port.doorkeeper.sweep()
    finally:
        stopped.set()
        using.join()
    assert len(port.open()) == 1
    assert str(path) not in open_files()


async def test_where_connections_have_taken_every_descriptor_the_late_are_cut_and_the_proven_stay(port: Port) -> None:
    for _ in range(CONNECTIONS_A_TURN + 1):
        port.connect()
    port.connections.proven(port.peer(7))
    with descriptors_left(0):
        await port.doorkeeper.sweep()
        port.now_s = PROOF_S + 1
        assert await port.doorkeeper.sweep() == CONNECTIONS_A_TURN
    await port.doorkeeper.sweep()
    assert port.open() == [7]


async def test_a_look_takes_no_descriptors_from_others(port: Port) -> None:
    for _ in range(2 * CONNECTIONS_A_TURN):
        port.connect()
    before = open_files()
    sweep = asyncio.create_task(port.doorkeeper.sweep())
    await asyncio.sleep(0)
    assert not open_files() - before
    await sweep


async def test_whoever_sends_much_before_that_is_cut_at_once(port: Port) -> None:
    for number in range(2):
        port.connect()
        accepted, left = port.accepted[number], UNPROVEN_BYTES_MAX + 65_536
        while left > 0:
            port.clients[number].sendall(bytes(65_536))
            left -= len(accepted.recv(65_536, socket.MSG_WAITALL))
    port.connections.proven(port.peer(1))
    await port.doorkeeper.sweep()
    assert port.open() == [1]


async def test_a_misused_connection_is_cut_and_its_neighbour_is_not(port: Port) -> None:
    port.connect()
    port.connect()
    for number in (0, 1):
        port.connections.proven(port.peer(number))
    for _ in range(int(STRIKES.burst)):
        port.connections.strike(port.peer(0))
    assert await port.doorkeeper.sweep() == 0
    port.connections.strike(port.peer(0))
    assert port.open() == [1], "it is cut at once, not with the next sweep"
    assert port.refusals.by_reason["CONNECTION_MISUSED"] == 1
    port.connections.misused(port.peer(0))
    assert await port.doorkeeper.sweep() == 0
    assert port.refusals.by_reason["CONNECTION_MISUSED"] == 1


async def test_in_a_crowd_a_misused_connection_is_left_to_the_next_sweep(port: Port) -> None:
    port.doorkeeper.follow(replace(LIMITS, connections=1_000, connections_per_address=1_000))
    for _ in range(CONNECTIONS_SEARCHED + 1):
        port.connect()
    await port.doorkeeper.sweep()
    port.connections.misused(port.peer(0))
    assert 0 in port.open()
    assert await port.doorkeeper.sweep() == 1
    assert 0 not in port.open()


async def test_of_a_local_socket_one_user_gets_no_more_than_leaves_others_room(port: Port, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    limits = replace(LIMITS, connections=8)
    keeper = Doorkeeper(set, port.connections, limits, port.refusals, lambda: port.now_s, [path])
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(path)
        listener.listen()
        other.bind(str(tmp_path / "other"))
        clients = []
        for _ in range(7):
            client = socket.socket(socket.AF_UNIX)
            client.connect(path)
            clients.append(client)
            port.accepted.append(listener.accept()[0])
            port.now_s += 1
            if len(clients) < 7:
                assert await keeper.sweep() == 0
        assert await keeper.sweep() == 1
        assert [_is_open(one) for one in clients] == [True] * 6 + [False]
        for client in clients:
            client.close()


async def test_other_sockets_of_the_process_are_left_alone(port: Port) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_connection(other.getsockname()) as client:
        accepted = other.accept()[0]
        port.now_s = 10 * PROOF_S
        await port.doorkeeper.sweep()
        port.now_s = 20 * PROOF_S
        assert await port.doorkeeper.sweep() == 0
        assert _is_open(client)
        accepted.close()


async def test_ipv6_peers_are_known_as_grpc_spells_them() -> None:
    """gRPC escapes the brackets."""
    connections = Connections(lambda: 0.0)
    connections.proven("ipv6:%5B::1%5D:7450")
    assert connections.proven_peers == {"ipv6:[::1]:7450"}
