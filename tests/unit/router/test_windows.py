"""Windows reach the node's log once, whatever fails on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.ola_machine.agreed import PAYMENTS
from tests.unit.router.recording_node import RecordingNode

from weftmesh.core.errors import NodeUnreachableError, NoQuorumError, UnknownOutcomeError, WeftmeshError
from weftmesh.core.ola.replicated.rows import LATE_S, WINDOW_S, ConfirmedAgreement, ObjectiveCount
from weftmesh.core.workflow.building import workflow
from weftmesh.router.counting.counts import CountedWindow, Counting, InForce
from weftmesh.router.counting.window_store import DAMAGED_SUFFIX, WINDOWS_MAX, WindowStore
from weftmesh.router.counting.windows import Windows
from weftmesh.router.samples import Sample, Source

NOW_S = 1_800_000_000 // WINDOW_S * WINDOW_S
"""Where the present window starts."""
LATER_S = NOW_S + 2 * WINDOW_S
HASH = bytes.fromhex(workflow([PAYMENTS]).sha256)


class Bench:
    """One router's counting, and the node that it hands windows to."""

    def __init__(self, directory: Path, node: RecordingNode) -> None:
        self.node, self.store = node, WindowStore(directory)
        self.now_ms = NOW_S * 1_000 + 10_000
        self.counting = Counting(self.store.open_counts())
        self.counting.set_agreements([InForce.of(PAYMENTS, 1)])
        self.windows = Windows(node, self.counting, self.store, lambda: self.now_ms, Random(1))

    def take(self, requests: int, starts_s: int = NOW_S - WINDOW_S) -> None:
        for _ in range(requests):
            self.counting.take(Sample("payments", "pay-1", 0.0, starts_s * 1_000, Source.REPORT, True, 20_000))

    def recorded(self) -> dict[int, int]:
        """How many requests the log counts, by window."""
        return {one.starts_s: one.total for one in self.node.read.parts("payments-api", "uptime", 0, 1 << 40)}


async def bench(directory: Path) -> Bench:
    node = RecordingNode(lambda: NOW_S * 1_000 + 10_000)
    await node.apply(PAYMENTS)
    return Bench(directory, node)


async def test_a_window_that_is_over_is_recorded_and_confirmed(tmp_path: Path) -> None:
    one = await bench(tmp_path)
    one.take(3)
    assert await one.windows.close_windows()
    assert await one.windows.send_windows()
    (window,) = one.node.read.windows()
    assert window.counts == (
        ObjectiveCount("payments-api", "response-time-p99", 3, 3),
        ObjectiveCount("payments-api", "uptime", 3, 3),
    )
    (confirmation,) = one.node.read.confirmations()
    assert confirmation.agreements == (ConfirmedAgreement("payments-api", 1, HASH),)
    assert one.store.waiting() == []
    assert not await one.windows.close_windows()


async def test_reports_that_come_a_moment_late_count(tmp_path: Path) -> None:
    one = await bench(tmp_path)
    one.now_ms = NOW_S * 1_000 + 1_000
    one.take(1)
    assert not await one.windows.close_windows()
    one.take(1)
    one.now_ms += 10_000
    await one.windows.close_windows()
    await one.windows.send_windows()
    assert one.recorded() == {NOW_S - WINDOW_S: 2}


@pytest.mark.parametrize("restarted", [False, True], ids=["it stays up", "it restarts"])
async def test_nothing_is_lost_while_the_node_is_away(tmp_path: Path, restarted: bool) -> None:
    one = await bench(tmp_path)
    one.take(2)
    one.take(5, LATER_S)
    one.node.fail_before.append(NodeUnreachableError("no node answers"))
    await one.windows.close_windows()
    assert not await one.windows.send_windows()
    if restarted:
        await one.windows.save()
        one = Bench(tmp_path, one.node)
    one.take(1, LATER_S)
    assert await one.windows.send_windows()
    assert one.recorded() == {NOW_S - WINDOW_S: 2}
    one.now_ms += 4 * WINDOW_S * 1_000
    await one.windows.close_windows()
    assert not await one.windows.send_windows(), "by the node's clock it is not over"
    assert one.recorded() == {NOW_S - WINDOW_S: 2}
    kept = one.store.get(LATER_S)
    assert kept is not None
    assert {count.total for count in kept.counts} == {6}


@pytest.mark.parametrize("error", [UnknownOutcomeError("?"), NoQuorumError("after all")])
async def test_what_is_sent_twice_counts_once(tmp_path: Path, error: WeftmeshError) -> None:
    one = await bench(tmp_path)
    one.take(4)
    await one.windows.close_windows()
    one.node.fail_after.append(error)
    assert not await one.windows.send_windows()
    assert one.recorded() == {NOW_S - WINDOW_S: 4}
    assert await one.windows.send_windows()
    assert one.recorded() == {NOW_S - WINDOW_S: 4}
    assert len(one.node.read.confirmations()) == 1


async def test_a_process_that_dies_before_it_saves_sends_no_other_word(tmp_path: Path) -> None:
    one = await bench(tmp_path)
    one.take(4)
    await one.windows.save()
    one.take(1)
    await asyncio.to_thread(one.store.put, one.counting.close(one.now_ms)[0])
    again = Bench(tmp_path, one.node)
    again.take(7)
    await again.windows.close_windows()
    assert await again.windows.send_windows()
    assert (again.recorded(), again.counting.late) == ({NOW_S - WINDOW_S: 5}, 7)


async def test_a_window_is_not_lost_when_the_disk_refuses_it_or_the_process_is_told_to_end(tmp_path: Path) -> None:
    one = await bench(tmp_path)
    one.take(4)
    await asyncio.to_thread(tmp_path.rename, tmp_path.with_name("away"))
    with pytest.raises(FileNotFoundError):
        await one.windows.close_windows()
    await asyncio.to_thread(tmp_path.with_name("away").rename, tmp_path)
    await one.windows.save()
    assert one.store.waiting() == [NOW_S - WINDOW_S]
    assert await one.windows.send_windows()
    assert one.recorded() == {NOW_S - WINDOW_S: 4}


async def test_a_window_that_the_node_refuses_is_dropped_and_others_go_on(tmp_path: Path) -> None:
    one = await bench(tmp_path)
    wrong = ObjectiveCount("payments-api", "uptime", 2, 1)
    one.store.put(CountedWindow(NOW_S - 3 * WINDOW_S, (), (wrong,)))
    one.take(1)
    await one.windows.close_windows()
    assert await one.windows.send_windows()
    assert (one.windows.left_out, one.recorded()) == (1, {NOW_S - WINDOW_S: 1})


async def test_a_window_that_is_hours_old_is_recorded_without_a_confirmation(tmp_path: Path) -> None:
    one = await bench(tmp_path)
    one.take(1)
    await one.windows.close_windows()
    await one.windows.send_windows()
    old = ObjectiveCount("payments-api", "uptime", 1, 1)
    one.store.put(CountedWindow(NOW_S - 20 * WINDOW_S, (ConfirmedAgreement("payments-api", 1, HASH),), (old,)))
    assert await one.windows.send_windows()
    assert NOW_S - 20 * WINDOW_S in one.recorded()
    assert len(one.node.read.confirmations()) == 1


async def test_a_damaged_window_costs_no_other(tmp_path: Path) -> None:
    one = await bench(tmp_path)
    one.take(1)
    await one.windows.close_windows()
    count = ObjectiveCount("payments-api", "uptime", 1, 1)
    for number in (2, 3):
        one.store.put(CountedWindow(NOW_S - number * WINDOW_S, (), (count,)))
    (tmp_path / f"{NOW_S - 2 * WINDOW_S}.window").write_bytes(b"weftmesh-router-counts 1 00\n{}\n")
    assert await one.windows.send_windows()
    assert set(one.recorded()) == {NOW_S - WINDOW_S, NOW_S - 3 * WINDOW_S}
    assert (tmp_path / f"{NOW_S - 2 * WINDOW_S}.window{DAMAGED_SUFFIX}").exists()


async def test_open_counts_that_are_damaged_are_set_aside(tmp_path: Path) -> None:
    one = await bench(tmp_path)
    one.take(1)
    await one.windows.save()
    path = tmp_path / "open.counts"
    path.write_bytes(path.read_bytes()[:-3])
    again = Bench(tmp_path, one.node)
    assert again.counting.open_counts.tallies == ()
    assert (tmp_path / f"open.counts{DAMAGED_SUFFIX}").exists()


def test_windows_that_are_too_old_to_be_taken_make_room(tmp_path: Path) -> None:
    store = WindowStore(tmp_path)
    for number in range(WINDOWS_MAX):
        (tmp_path / f"{NOW_S - (number + 1) * WINDOW_S}.window").touch()
    store.put(CountedWindow(NOW_S, (), ()))
    assert store.waiting()[0] == NOW_S - LATE_S + WINDOW_S
    assert len(store.waiting()) == WINDOWS_MAX


async def test_it_runs_until_it_is_cancelled_and_finds_what_an_earlier_life_left(tmp_path: Path) -> None:
    one = await bench(tmp_path)
    one.take(2)
    await one.windows.close_windows()
    running = asyncio.create_task(Bench(tmp_path, one.node).windows.run())
    async with asyncio.timeout(30):
        await eventually(lambda: bool(one.node.read.confirmations()))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert one.recorded() == {NOW_S - WINDOW_S: 2}


async def eventually(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110, a condition of another task that tells nobody
        await asyncio.sleep(0.02)


STEPS = st.lists(
    st.sampled_from(["take", "take", "save", "die", "close", "send", "fail before", "fail after"]), max_size=25
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_the_log_never_counts_more_than_came_and_all_of_it_once_saved(
    steps: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    asyncio.run(counted(steps, tmp_path_factory.mktemp("windows")))


async def counted(steps: list[str], directory: Path) -> None:
    one = await bench(directory)
    taken = saved = 0
    closed = False
    for step in steps:
        match step:
            case "take":
                one.take(1)
                taken += not closed
            case "save":
                await one.windows.save()
                saved = taken
            case "die":
                one = Bench(directory, one.node)
                taken = saved
            case "close":
                if await one.windows.close_windows():
                    closed, saved = True, taken
            case "send":
                await one.windows.send_windows()
            case "fail before":
                one.node.fail_before.append(NoQuorumError("away"))
            case "fail after":
                one.node.fail_after.append(UnknownOutcomeError("silent"))
    one.now_ms += WINDOW_S * 1_000
    await one.windows.close_windows()
    for _ in range(len(steps) + 1):
        await one.windows.send_windows()
    assert one.recorded() == ({NOW_S - WINDOW_S: taken} if taken else {})
    assert one.store.waiting() == []


def test_counts_are_kept_as_they_were(tmp_path: Path) -> None:
    agreement = replace(PAYMENTS, name="ü" * 3)
    counting = Counting()
    counting.set_agreements([InForce.of(agreement, 1)])
    counting.take(Sample("payments", "pay-1", 0.0, NOW_S * 1_000, Source.REPORT, True, 20_000))
    WindowStore(tmp_path).save_open_counts(counting.open_counts)
    assert WindowStore(tmp_path).open_counts() == counting.open_counts
