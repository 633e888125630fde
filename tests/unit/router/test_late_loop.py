"""A router that is late does not find its endpoints slow: what counts is when the kernel got an answer."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from weftmesh.core.ola.model import Probe, ProbeKind
from weftmesh.core.routing.model import Endpoint
from weftmesh.router.probing.arrival import exchange_s
from weftmesh.router.probing.http import HttpProber
from weftmesh.router.probing.tcp import TcpProber

pytestmark = pytest.mark.alone

STALL_S = 1.0
ANSWERED_S = 0.6
TIMEOUT_MS = 1_000
SERVER_S = 20.0


@contextmanager
def server(answer: bytes = b"") -> Iterator[Endpoint]:
    """A server that answers its one request after `ANSWERED_S`, if at all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SERVER_S)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):  # a client that gave up
                connection.settimeout(SERVER_S)
                connection.recv(1_024)
                time.sleep(ANSWERED_S)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        if answer:
            thread.start()
        yield Endpoint("one", f"127.0.0.1:{listener.getsockname()[1]}")
        if answer:
            thread.join()


async def test_a_connection_takes_as_long_as_the_other_side_took() -> None:
    with server() as endpoint:
        asking = asyncio.create_task(TcpProber().ask(endpoint, Probe(ProbeKind.TCP, 5_000, 4_000)))
        await asyncio.sleep(0)
        time.sleep(STALL_S)  # noqa: ASYNC251, the loop is late
        answer = await asking
    assert answer.ok
    assert answer.latency_us is not None
    assert 0 < answer.latency_us < STALL_S * 1e6 / 2


async def test_a_connection_that_was_there_in_time_is_found_after_the_time() -> None:
    with server() as endpoint:
        asking = asyncio.create_task(TcpProber().ask(endpoint, Probe(ProbeKind.TCP, 5_000, TIMEOUT_MS)))
        await asyncio.sleep(0)
        time.sleep(STALL_S)  # noqa: ASYNC251, the loop is late
        assert (await asking).ok


async def test_a_page_that_was_there_in_time_is_found_after_the_time() -> None:
    with server(b"HTTP/1.1 200 OK\r\n\r\n") as endpoint:
        asyncio.get_running_loop().call_later(ANSWERED_S / 2, time.sleep, STALL_S)
        assert (await HttpProber(None).ask(endpoint, Probe(ProbeKind.HTTP, 5_000, TIMEOUT_MS, "/"))).ok


async def test_a_page_that_came_too_late_is_none_however_late_the_loop_is() -> None:
    with server(b"HTTP/1.1 200 OK\r\n\r\n") as endpoint:
        asyncio.get_running_loop().call_later(ANSWERED_S / 4, time.sleep, STALL_S)
        answer = await HttpProber(None).ask(endpoint, Probe(ProbeKind.HTTP, 5_000, int(ANSWERED_S * 500), "/"))
    assert not answer.ok
    assert answer.latency_us is None


async def test_an_answer_that_waited_here_is_as_quick_as_it_came() -> None:
    with server(b"HTTP/1.1 200 OK\r\n\r\n") as endpoint:
        prober = HttpProber(None)
        # Late enough for the request to be sent, and well before the answer.
        asyncio.get_running_loop().call_later(ANSWERED_S / 2, time.sleep, STALL_S)
        answer = await prober.ask(endpoint, Probe(ProbeKind.HTTP, 5_000, 4_000, "/"))
        await prober.close()
    assert answer.ok
    assert answer.latency_us is not None
    assert ANSWERED_S * 0.9e6 < answer.latency_us < (ANSWERED_S / 2 + STALL_S) * 0.9e6


def test_the_kernel_knows_how_long_an_answer_took() -> None:
    with server(b"answer") as endpoint:
        host, _, port = endpoint.address.rpartition(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"question")
            time.sleep(2 * STALL_S)
            connection.recv(1_024)
            found_s = exchange_s(connection)
    assert found_s is not None
    assert ANSWERED_S * 0.9 < found_s < 2 * STALL_S * 0.9
