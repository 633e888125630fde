"""Threads that are there from the start, and what is said where they cannot be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.worker_threads import LOOP_THREADS, started_threads, with_threads

NO_SUCH_STACK_BYTES = 1 << 46


@contextmanager
def no_further_thread() -> Iterator[None]:
    """No thread can be started: the kernel has no memory for its stack."""
    before_bytes = threading.stack_size(NO_SUCH_STACK_BYTES)
    try:
        with pytest.raises(RuntimeError, match="can't start"):
            threading.Thread(target=int).start()
        yield
    finally:
        threading.stack_size(before_bytes)


def test_work_finds_its_threads_where_none_can_be_started() -> None:
    executor = started_threads(3, "early")
    together = threading.Barrier(3)
    with no_further_thread():
        waiting = [executor.submit(together.wait, 10) for _ in range(3)]
        assert sorted(one.result() for one in waiting) == [0, 1, 2]
    executor.shutdown()


def test_what_cannot_have_its_threads_says_which_limit_to_raise() -> None:
    with no_further_thread(), pytest.raises(PreconditionError, match="TasksMax"):
        started_threads(2, "late")


def test_a_loop_works_and_ends_where_no_thread_can_be_started() -> None:
    together = threading.Barrier(LOOP_THREADS)

    async def work() -> list[int]:
        return await asyncio.gather(*(asyncio.to_thread(together.wait, 10) for _ in range(LOOP_THREADS)))

    runner = asyncio.Runner(loop_factory=with_threads(asyncio.new_event_loop))
    runner.get_loop()
    with no_further_thread():
        assert sorted(runner.run(work())) == list(range(LOOP_THREADS))
        runner.close()


def test_a_loop_that_cannot_have_its_threads_is_not_made() -> None:
    with no_further_thread(), pytest.raises(PreconditionError):
        with_threads(asyncio.new_event_loop)()
