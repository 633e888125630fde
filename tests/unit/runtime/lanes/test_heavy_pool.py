"""The pool of worker processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.unit.runtime.lanes.ticks_and_work import MODULE

from weftmesh.core.errors import InvalidInputError, OverloadedError
from weftmesh.core.ola.model import ServiceClass
from weftmesh.runtime.lanes.heavy.pool import HeavyPool, PoolSettings, WorkFailedError

ROOT = Path(__file__).parents[4]
LONG_S = 60.0


@pytest_asyncio.fixture
async def pool(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HeavyPool]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    running = HeavyPool([MODULE], PoolSettings(waiting_max=2))
    yield running
    await running.stop()


async def pid(pool: HeavyPool) -> int:
    return int((await pool.run("pid", b"", LONG_S)).split()[0])


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_registered_function_runs_in_a_niced_process_that_is_kept(pool: HeavyPool) -> None:
    assert await pool.run("reverse", b"abc", LONG_S) == b"cba"
    first, nice = (await pool.run("pid", b"", LONG_S)).split()
    assert int(nice) >= 10
    assert await pid(pool) == int(first)


async def test_what_nobody_registered_does_not_run(pool: HeavyPool) -> None:
    with pytest.raises(InvalidInputError, match=r"os\.system.*there are: end, fail"):
        await pool.run("os.system", b"true", LONG_S)


async def test_an_error_in_a_function_is_told_and_leaves_the_worker(pool: HeavyPool) -> None:
    before = await pid(pool)
    with pytest.raises(WorkFailedError, match="fail: ValueError: too few rows"):
        await pool.run("fail", b"too few rows", LONG_S)
    assert await pid(pool) == before


async def test_work_that_misses_its_deadline_is_killed(pool: HeavyPool) -> None:
    before = await pid(pool)
    with pytest.raises(OverloadedError, match="not done within") as refused:
        await pool.run("nap", b"60", 0.1)
    assert refused.value.reason == "DEADLINE_EXCEEDED"
    assert await pid(pool) != before
    await pool.stop()
    assert not alive(before)


async def test_a_worker_that_ends_is_told_and_replaced(pool: HeavyPool) -> None:
    with pytest.raises(WorkFailedError, match="ended with code 3"):
        await pool.run("end", b"", LONG_S)
    assert await pool.run("reverse", b"ab", LONG_S) == b"ba"


async def test_cancelled_work_is_killed(pool: HeavyPool) -> None:
    before = await pid(pool)
    task = asyncio.create_task(pool.run("nap", b"60", LONG_S))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await pid(pool) != before


async def test_waiting_work_is_bounded_and_goes_by_class(pool: HeavyPool) -> None:
    ended: list[str] = []

    async def call(payload: bytes, service_class: ServiceClass) -> None:
        await pool.run("nap", payload, LONG_S, service_class)
        ended.append(service_class.name)

    async with asyncio.TaskGroup() as group:
        for service_class in (ServiceClass.NORMAL, ServiceClass.BATCH, ServiceClass.CRITICAL):
            group.create_task(call(b"0.1", service_class))
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError, match="2 calls wait"):
            await pool.run("reverse", b"", LONG_S)
    assert ended == ["NORMAL", "CRITICAL", "BATCH"]


async def test_an_idle_worker_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pool = HeavyPool([MODULE], PoolSettings(idle_s=0.05))
    worker = await pid(pool)
    async with asyncio.timeout(30):
        while alive(worker):  # noqa: ASYNC110 - the kernel sends no event for it here
            await asyncio.sleep(0.02)
    await pool.stop()
