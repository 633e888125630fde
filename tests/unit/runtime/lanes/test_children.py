"""Children: how they are started and how they end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from tests.unit.runtime.lanes.ticks_and_work import MODULE

from weftmesh.runtime.lanes.children import start_child
from weftmesh.runtime.lanes.heavy.pool import CHILD_MODULE

ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def children_find_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def after_fork() -> Iterator[int]:
    """A pipe that has a byte of each copy of this process in which what is registered for after a fork has run."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    open_ = [theirs]
    os.register_at_fork(after_in_child=lambda: open_ and os.write(open_[0], b"."))
    yield ours
    open_.clear()
    os.close(ours)
    os.close(theirs)


def test_a_child_is_no_copy_of_this_process_for_a_moment(after_fork: int) -> None:
    async def once() -> int:
        return await (await start_child(CHILD_MODULE, "10", MODULE)).end(60.0)

    assert uvloop.run(once()) == 0
    with pytest.raises(BlockingIOError):
        os.read(after_fork, 1)


async def test_the_end_of_a_child_is_told_to_all_who_ask_more_than_once() -> None:
    child = await start_child(CHILD_MODULE, "10", MODULE)
    child.kill()
    assert await child.end() == -signal.SIGKILL
    assert await child.end() == -signal.SIGKILL


async def test_a_child_that_does_not_end_in_time_is_killed() -> None:
    child = await start_child(CHILD_MODULE, "10", MODULE)
    os.kill(child.process.pid, signal.SIGSTOP)
    assert await child.end(0.05) == -signal.SIGKILL
