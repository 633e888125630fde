from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from weftmesh.runtime.watchdog import BEATS, keep_beating, watchdog_limit_s


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where a supervisor listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


async def heard(supervisor: socket.socket) -> str:
    return (await asyncio.get_running_loop().sock_recv(supervisor, 100)).decode()


def silent(supervisor: socket.socket) -> bool:
    try:
        return not supervisor.recv(100)
    except BlockingIOError:
        return True


@pytest.mark.parametrize(
    ("environment", "limit_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
    ],
)
def test_a_limit_is_taken_from_a_supervisor_that_means_this_process(
    environment: dict[str, str], limit_s: float | None
) -> None:
    assert watchdog_limit_s(environment) == limit_s


async def test_a_daemon_that_gets_on_beats(supervisor: socket.socket) -> None:
    beating = asyncio.create_task(keep_beating(0.03 * BEATS))
    assert [await heard(supervisor) for _ in range(3)] == ["WATCHDOG=1"] * 3
    beating.cancel()


async def test_one_that_does_not_is_silent_until_it_does(supervisor: socket.socket) -> None:
    asked, healthy = asyncio.Semaphore(0), False

    async def gets_on() -> bool:
        asked.release()
        return healthy

    beating = asyncio.create_task(keep_beating(0.03, gets_on))
    for _ in range(3):
        await asked.acquire()
    assert silent(supervisor)
    healthy = True
    assert await heard(supervisor) == "WATCHDOG=1"
    beating.cancel()


async def test_no_answer_is_no_beat(supervisor: socket.socket) -> None:
    asked = asyncio.Semaphore(0)

    async def hangs() -> bool:
        asked.release()
        await asyncio.Event().wait()
        return True

    beating = asyncio.create_task(keep_beating(0.03, hangs))
    for _ in range(3):
        await asked.acquire()
    assert silent(supervisor)
    beating.cancel()


async def test_without_a_limit_nobody_is_told(supervisor: socket.socket) -> None:
    await keep_beating(None)
    assert silent(supervisor)
