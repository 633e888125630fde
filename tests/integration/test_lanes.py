"""The critical lane as a process: its priority, its ends, and start times beside a machine that is full."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from benchmarks.lanes import critical, overload
from tests.unit.runtime.lanes.ticks_and_work import MODULE

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.model import SLICE_S
from weftmesh.runtime.lanes.critical.lane import CriticalLane, LaneSettings
from weftmesh.runtime.lanes.critical.messages import Ending, Tick, TickResult

ROOT = Path(__file__).parents[2]
PR_CAPBSET_DROP, CAP_SYS_NICE = 24, 23
pytestmark = [pytest.mark.alone, pytest.mark.integration]


@pytest.fixture(autouse=True)
def children_find_the_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


class Results:
    """What the lane told, and a way to wait for it."""

    def __init__(self) -> None:
        self.all: list[TickResult] = []
        self._came = asyncio.Event()

    def take(self, one: TickResult) -> None:
        self.all.append(one)
        self._came.set()

    async def until(self, enough: Callable[[list[TickResult]], bool]) -> list[TickResult]:
        async with asyncio.timeout(60):
            while not enough(self.all):
                self._came.clear()
                await self._came.wait()
        return self.all


@asynccontextmanager
async def running(*ticks: Tick, settings: LaneSettings | None = None) -> AsyncIterator[tuple[CriticalLane, Results]]:
    results = Results()
    lane = CriticalLane([MODULE], results.take, settings)
    lane.set_ticks(ticks)
    await lane.start()
    try:
        yield lane, results
    finally:
        await lane.stop()


def tick(function: str, payload: bytes = b"", period_s: float = 0.02, deadline_s: float = 1.0) -> Tick:
    return Tick(function, function, period_s, deadline_s, payload)


def may_be_real_time() -> bool:
    code = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))"
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode == 0


needs_real_time = pytest.mark.skipif(not may_be_real_time(), reason="SCHED_RR is refused here; see LimitRTPRIO=")


async def test_ticks_run_in_another_process_in_order_and_give_results() -> None:
    async with running(tick("echo", b"hello"), tick("raise", b"wrong")) as (lane, results):
        got = await results.until(lambda all_: len({one.name for one in all_ if one.number >= 5}) == 2)
        status = lane.status()
    echoes = [one for one in got if one.name == "echo"]
    assert [one.number for one in echoes] == list(range(1, len(echoes) + 1))
    assert {(one.ending, one.payload) for one in echoes} == {(Ending.DONE, b"hello")}
    failed = {(one.ending, one.payload) for one in got if one.name == "raise"}
    assert failed == {(Ending.FAILED, b"ValueError: wrong")}
    assert status.pid not in (None, os.getpid())
    assert status.starts >= 10
    assert status.late_p50_us is not None


@needs_real_time
async def test_the_child_runs_under_sched_rr_and_says_so() -> None:
    async with running(tick("policy")) as (lane, results):
        got = await results.until(bool)
        assert lane.status().real_time
    assert int(got[0].payload) == os.SCHED_RR
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


async def test_without_the_right_it_runs_all_the_same_and_says_how_to_allow_it() -> None:
    code = f"""
import asyncio, ctypes, resource
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
ctypes.CDLL(None).prctl({PR_CAPBSET_DROP}, {CAP_SYS_NICE})
from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.model import SLICE_S
from weftmesh.runtime.lanes.critical.lane import CriticalLane
from weftmesh.runtime.lanes.critical.messages import Tick
async def main():
    got = asyncio.Event()
    lane = CriticalLane([{MODULE!r}], lambda one: got.set())
    await lane.start()
    lane.set_ticks([Tick("echo", "echo", 0.02, 1.0)])
    await asyncio.wait_for(got.wait(), 60)
    print(lane.status().real_time, lane.status().why)
    await lane.stop()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert b"False SCHED_RR was refused" in out
    assert b"LimitRTPRIO=10" in out
    assert b"without real-time priority" in out + err


async def test_a_tick_is_given_up_at_its_deadline_and_skips_the_starts_that_it_misses() -> None:
    async with running(tick("sleep", b"60", period_s=0.02, deadline_s=0.1)) as (lane, results):
        got = await results.until(lambda all_: len(all_) >= 4)
        async with asyncio.timeout(30):
            while lane.status().skipped < 4:  # noqa: ASYNC110 - told by the child every quarter of a second
                await asyncio.sleep(0.05)
    assert {one.ending for one in got} == {Ending.DEADLINE}
    starts_s = [one.started_s for one in got]
    assert all(after - before >= 0.1 for before, after in itertools.pairwise(starts_s))


async def test_new_ticks_replace_the_old() -> None:
    async with running(tick("echo", b"old")) as (lane, results):
        await results.until(bool)
        lane.set_ticks([tick("echo", b"new")])
        await results.until(lambda all_: all_[-1].payload == b"new")
        seen = len(results.all)
        got = await results.until(lambda all_: len(all_) >= seen + 5)
    assert {one.payload for one in got[seen:]} == {b"new"}


async def test_ticks_that_stay_keep_their_rhythm_when_others_change() -> None:
    stays = tick("echo", b"stays")
    async with running(stays) as (lane, results):
        await results.until(lambda all_: len(all_) >= 3)
        lane.set_ticks([stays, tick("policy")])
        got = await results.until(lambda all_: all_[-1].name == "echo" and all_[-1].number >= 10)
    assert [one.number for one in got if one.name == "echo"] == list(
        range(1, 1 + sum(one.name == "echo" for one in got))
    )


def test_it_runs_on_uvloop_too() -> None:
    async def once() -> bytes:
        async with running(tick("echo", b"hello")) as (_, results):
            return (await results.until(bool))[0].payload

    assert uvloop.run(once()) == b"hello"


async def test_a_function_that_nobody_registered_is_refused() -> None:
    async with running() as (lane, _):
        with pytest.raises(InvalidInputError, match="not registered"):
            lane.set_ticks([tick("os.system")])
        with pytest.raises(InvalidInputError, match="period"):
            lane.set_ticks([tick("echo", period_s=0.0)])


# Ends


def ended(pid: int) -> bool:
    """Whether there is no such process, or nothing is left of it but its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except FileNotFoundError:
        return True


async def gone(pid: int) -> bool:
    for _ in range(600):
        if ended(pid):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_child_that_is_killed_is_started_again_with_its_ticks() -> None:
    async with running(tick("echo"), settings=LaneSettings(backoff_s=0.01)) as (lane, results):
        await results.until(bool)
        first = lane.status().pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        before = len(results.all)
        await results.until(lambda all_: len(all_) > before + 5 and lane.status().pid not in (None, first))
        assert lane.status().restarts == 1


async def test_a_child_that_hangs_is_killed_and_started_again() -> None:
    async with running(tick("hang"), settings=LaneSettings(silence_s=0.3, backoff_s=0.01)) as (lane, _):
        async with asyncio.timeout(60):
            while lane.status().restarts < 1:  # noqa: ASYNC110 - the lane has no event for it
                await asyncio.sleep(0.05)


@needs_real_time
async def test_a_tick_that_runs_away_loses_the_processor_long_before_it_is_missed() -> None:
    async with running(tick("run away"), settings=LaneSettings(silence_s=60.0, backoff_s=0.01)) as (lane, _):
        async with asyncio.timeout(60):
            while lane.status().restarts < 1:  # noqa: ASYNC110 - the lane has no event for it
                await asyncio.sleep(0.05)


async def test_stop_leaves_no_process() -> None:
    async with running(tick("hang")) as (lane, _):
        pid = lane.status().pid
        assert pid is not None
    assert await gone(pid)


@pytest.mark.parametrize("doing", ["echo", "hang"])
async def test_the_child_ends_with_its_parent_even_if_it_hangs(doing: str) -> None:
    code = f"""
import asyncio
from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.model import SLICE_S
from weftmesh.runtime.lanes.critical.lane import CriticalLane
from weftmesh.runtime.lanes.critical.messages import Tick
async def main():
    lane = CriticalLane([{MODULE!r}], print)
    await lane.start()
    lane.set_ticks([Tick("t", {doing!r}, 0.02, 1.0)])
    await asyncio.sleep(0.2)
    print("child", lane.status().pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, cwd=ROOT
    )
    assert parent.stdout is not None
    async with asyncio.timeout(60):
        while not (line := await parent.stdout.readline()).startswith(b"child"):
            assert line
    parent.kill()
    await parent.wait()
    assert await gone(int(line.split()[1]))


# A machine that is full


@needs_real_time
async def test_starts_under_sched_rr_are_on_time_while_other_processes_use_all_there_is() -> None:
    with_rr, without = await critical.measure(seconds=4.0, busy=max(4, 2 * len(os.sched_getaffinity(0))))
    assert with_rr.status.real_time
    assert not without.status.real_time
    assert len(with_rr.late_ms) > 200
    assert with_rr.quantile(0.99) < without.quantile(0.99) / 2


async def test_batch_gets_its_share_of_a_loop_that_has_twice_the_work_it_can_do() -> None:
    seen = await overload.measure(seconds=3.0)
    shares = {one: seen.share(one) for one in ServiceClass}
    assert shares[ServiceClass.BATCH] > 0.6 / 12
    assert shares[ServiceClass.CRITICAL] > shares[ServiceClass.NORMAL] > shares[ServiceClass.BATCH]
    waits_us = [one.wait_p50_us or 0.0 for one in seen.delays]
    assert waits_us[0] < waits_us[1]


async def test_the_loop_looks_around_before_lanes_have_used_a_slice() -> None:
    seen = await overload.measure(seconds=1.5)
    assert len(seen.steps_ms) > 50
    assert overload.quantile(seen.steps_ms, 0.95) < SLICE_S * 1e3
    assert overload.quantile(seen.between_ms, 0.95) < SLICE_S * 1e3
