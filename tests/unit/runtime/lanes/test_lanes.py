"""Cooperative lanes on a real loop."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from weftmesh.core.errors import OverloadedError
from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.events import ServiceLowered, ServiceRaised
from weftmesh.core.schedule.model import Settings
from weftmesh.runtime.lanes.cooperative import Change, Lanes
from weftmesh.runtime.lanes.overruns import NAMES_MAX, OTHERS, QUIET_S, Overruns
from weftmesh.runtime.lanes.pacing import Held
from weftmesh.runtime.lanes.slicing import drained, in_steps, pause, sliced
from weftmesh.runtime.telemetry import configure_logging

CRITICAL, NORMAL, BATCH = ServiceClass


@pytest_asyncio.fixture
async def lanes() -> AsyncIterator[Lanes]:
    running = Lanes()
    yield running
    await running.stop()


def spin(busy_s: float) -> None:
    end_s = time.thread_time() + busy_s
    while time.thread_time() < end_s:
        pass


async def note(seen: list[str], name: str) -> str:
    seen.append(name)
    return name


async def test_a_job_gives_back_what_it_returns(lanes: Lanes) -> None:
    assert await lanes.submit(NORMAL, 0.1, note([], "result"), name="one") == "result"


async def test_a_job_gives_on_what_it_raises(lanes: Lanes) -> None:
    async def failing() -> None:
        await pause()
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await lanes.submit(NORMAL, 0.1, failing(), name="failing")
    assert await lanes.submit(NORMAL, 0.1, note([], "after"), name="after") == "after"


async def test_jobs_run_by_class_and_deadline_whatever_the_order_of_submission(lanes: Lanes) -> None:
    seen: list[str] = []
    wanted = [(BATCH, 9.0), (NORMAL, 9.0), (NORMAL, 2.0), (CRITICAL, 9.0), (CRITICAL, 2.0)]
    await asyncio.gather(*(lanes.submit(one, at_s, note(seen, f"{one.name} {at_s}"), name="") for one, at_s in wanted))
    of_class = {one: [name for name in seen if name.startswith(one.name)] for one in ServiceClass}
    assert seen[0] == "CRITICAL 2.0"
    assert of_class == {
        CRITICAL: ["CRITICAL 2.0", "CRITICAL 9.0"],
        NORMAL: ["NORMAL 2.0", "NORMAL 9.0"],
        BATCH: ["BATCH 9.0"],
    }


async def test_the_loop_gets_its_turn_after_every_slice(lanes: Lanes) -> None:
    turns = 0

    def steps() -> Iterator[None]:
        nonlocal turns
        while turns < 200:
            turns += 1
            yield

    seen = []
    task = lanes.submit(BATCH, 1.0, in_steps(steps()), name="steps")
    while not task.done():
        seen.append(turns)
        await asyncio.sleep(0)
    assert turns == 200
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 1


async def test_a_job_that_waits_holds_nobody_up(lanes: Lanes) -> None:
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def asking() -> str:
        return await answer

    asked = lanes.submit(CRITICAL, 0.1, asking(), name="asking")
    assert await lanes.submit(BATCH, 1.0, note([], "batch"), name="batch") == "batch"
    answer.set_result("answered")
    assert await asked == "answered"


async def test_what_a_job_awaits_may_fail(lanes: Lanes) -> None:
    async def connecting() -> str:
        try:
            await asyncio.open_unix_connection("/does/not/exist")
        except FileNotFoundError:
            return "caught"
        return "connected"

    assert await lanes.submit(NORMAL, 0.1, connecting(), name="connecting") == "caught"


async def test_timeouts_work_within_a_job_though_others_have_the_turns(lanes: Lanes) -> None:
    async def waiting() -> str:
        try:
            async with asyncio.timeout(0.02):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timeout"
        return "no timeout"

    async def busy() -> None:
        while True:
            spin(0.002)
            await pause()

    hog = lanes.submit(CRITICAL, 0.0, busy(), name="busy")
    assert await lanes.submit(BATCH, 9.0, waiting(), name="waiting") == "timeout"
    hog.cancel()


async def test_a_job_can_be_cancelled_before_its_first_turn_between_turns_and_while_it_waits(lanes: Lanes) -> None:
    cleaned = []

    async def forever(name: str) -> None:
        try:
            while True:
                await (pause() if name == "pausing" else asyncio.sleep(60))
        finally:
            cleaned.append(name)

    unstarted = lanes.submit(NORMAL, 0.1, forever("unstarted"), name="unstarted")
    unstarted.cancel()
    wanted = {"pausing": 0.1, "sleeping": 0.05}
    tasks = [lanes.submit(NORMAL, deadline_s, forever(name), name=name) for name, deadline_s in wanted.items()]
    await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(unstarted, *tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in ended)
    assert sorted(cleaned) == ["pausing", "sleeping"]
    assert await lanes.submit(BATCH, 0.1, note([], "after"), name="after") == "after"


async def test_an_asynchronous_generator_gives_its_turn_back_at_each_yield(lanes: Lanes) -> None:
    seen: list[str] = []

    async def generator(name: str) -> AsyncIterator[None]:
        for _ in range(3):
            seen.append(name)
            yield

    await asyncio.gather(*(lanes.submit(NORMAL, 0.1, drained(generator(name)), name=name) for name in "ab"))
    assert sorted(seen) == list("aaabbb")
    turns = lanes.delays()[1].turns
    assert turns >= 8


async def test_a_long_computation_is_cut_into_slices(lanes: Lanes) -> None:
    done: list[int] = []

    def work(item: int) -> None:
        done.append(item)
        spin(0.0005)

    await lanes.submit(BATCH, 1.0, in_steps(sliced(range(40), work)), name="long")
    assert done == list(range(40))
    assert lanes.delays()[2].turns >= 4


async def test_a_job_that_holds_the_loop_is_named_with_its_time(lanes: Lanes, caplog: pytest.LogCaptureFixture) -> None:
    async def holding() -> None:
        for _ in range(3):
            spin(0.03)
            await pause()

    configure_logging()
    begun_s = time.monotonic()
    with caplog.at_level(logging.WARNING, "weftmesh.lanes"):
        await lanes.submit(BATCH, 1.0, holding(), name="nightly report")
    assert lanes.overruns()["nightly report"] >= 3
    assert lanes.delays()[2].overruns >= 3
    messages = [record.getMessage() for record in caplog.records]
    named = [one for one in messages if "nightly report" in one and "computed without a pause" in one]
    assert 1 <= len(named) <= 1 + (time.monotonic() - begun_s) / QUIET_S


async def test_a_job_that_waits_without_await_is_named_too(lanes: Lanes, caplog: pytest.LogCaptureFixture) -> None:
    async def sleeping() -> None:
        time.sleep(0.02)  # noqa: ASYNC251 - that is the mistake

    configure_logging()
    with caplog.at_level(logging.WARNING, "weftmesh.lanes"):
        await lanes.submit(BATCH, 1.0, sleeping(), name="careless")
    assert lanes.overruns() == {"careless": 1}
    assert "waited without await" in caplog.text


def test_overruns_are_counted_under_a_bounded_number_of_names() -> None:
    overruns = Overruns()
    for at in range(2 * NAMES_MAX):
        overruns.add(f"job-{at}", Held(0.01, 0.01, False), 0.0)
    assert overruns.counts()[OTHERS] == NAMES_MAX
    assert len(overruns.counts()) == NAMES_MAX + 1


async def test_delays_tell_waits_and_holds_of_each_class(lanes: Lanes) -> None:
    async def working() -> None:
        for _ in range(5):
            spin(0.002)
            await pause()

    await asyncio.gather(*(lanes.submit(one, 1.0, working(), name="working") for one in ServiceClass))
    critical, normal, batch = lanes.delays()
    assert [one.service_class for one in (critical, normal, batch)] == list(ServiceClass)
    for one in (critical, normal, batch):
        assert one.turns >= 5
        assert one.waiting == 0
        assert one.wait_p50_us is not None
        assert one.held_max_us is not None
        assert one.held_max_us >= 1900
    assert critical.wait_p50_us is not None
    assert batch.wait_max_us is not None
    assert critical.wait_p50_us < batch.wait_max_us


async def test_a_service_that_burns_its_budget_gets_its_turns_earlier_and_this_is_told() -> None:
    changes: list[Change] = []
    lanes = Lanes(changed=changes.append)
    try:
        lanes.burned("payments", 14.4)
        (raised,) = changes
        assert isinstance(raised, ServiceRaised)
        seen: list[str] = []
        await asyncio.gather(
            lanes.submit(NORMAL, 0.5, note(seen, "other"), name="other"),
            lanes.submit(NORMAL, 0.5, note(seen, "payments"), name="payments", service="payments"),
        )
        assert seen[0] == "payments"
        assert raised.reason in lanes.story("payments")
    finally:
        await lanes.stop()


async def test_a_service_comes_down_by_itself_when_nothing_is_heard_of_it() -> None:
    changes: list[Change] = []
    down = asyncio.Event()

    def changed(change: Change) -> None:
        changes.append(change)
        if isinstance(change, ServiceLowered):
            down.set()

    lanes = Lanes(Settings(silence_s=0.05), changed)
    lanes.burned("payments", 14.4)
    async with asyncio.timeout(30):
        await down.wait()
    assert [type(one) for one in changes] == [ServiceRaised, ServiceLowered]
    await lanes.stop()


async def test_a_job_that_is_never_the_most_urgent_ends_all_the_same() -> None:
    lanes = Lanes(Settings(patience_s=dict.fromkeys(ServiceClass, 0.05)))
    ended = asyncio.Event()

    async def urgent() -> None:
        spin(0.002)
        if not ended.is_set():
            for _ in range(1 + (lanes.delays()[2].waiting < 4)):
                lanes.submit(BATCH, 0.5, urgent(), name="urgent")

    async def patient() -> None:
        for _ in range(3):
            spin(0.002)
            await pause()
        ended.set()

    lanes.submit(BATCH, 0.5, urgent(), name="urgent")
    old = lanes.submit(BATCH, 1e6, patient(), name="old")
    async with asyncio.timeout(60):
        await old
    await lanes.stop()


async def test_too_many_jobs_are_refused_and_closed() -> None:
    lanes = Lanes(Settings(jobs_max=1))
    first = lanes.submit(NORMAL, 1.0, asyncio.sleep(60), name="first")
    with pytest.raises(OverloadedError, match="submit it again"):
        lanes.submit(NORMAL, 1.0, asyncio.sleep(60), name="second")
    await lanes.stop()
    assert first.cancelled()
