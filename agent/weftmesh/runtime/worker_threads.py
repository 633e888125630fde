"""Threads that a process has from its start on, so that what it depends on never has to wait for a new one.

An executor of the standard library starts a thread when work comes and none is idle. Where no thread can be started any
more, as at the TasksMax of a unit, that is an error at whatever happened to ask then. Here all are started at once, or
the process says why it cannot begin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Final, TypeVar

from weftmesh.core.errors import PreconditionError

LOOP_THREADS: Final = 6
"""For `asyncio.to_thread`: what the standard library allows itself on two processors. A snapshot that is written keeps
one busy for seconds, and so may one that arrives, and a fit; journals need one for milliseconds. 20 KiB each."""
START_TIMEOUT_S: Final = 30.0

LoopT = TypeVar("LoopT", bound=asyncio.AbstractEventLoop)


def started_threads(count: int, name: str) -> ThreadPoolExecutor:
    """An executor whose threads run already; it never starts a further one.

    Args:
        count: of threads.
        name: what their names begin with.

    Raises:
        PreconditionError: this process may not have so many.
    """
    executor = ThreadPoolExecutor(count, name)
    everyone = Barrier(count + 1)
    try:
        for _ in range(count):
            executor.submit(everyone.wait)  # keeps its thread, so that the next one needs another
        everyone.wait(START_TIMEOUT_S)
    except RuntimeError as error:
        everyone.abort()
        executor.shutdown(wait=False, cancel_futures=True)
        raise no_more_threads(count, name, error) from error
    return executor


def no_more_threads(count: int, name: str, error: RuntimeError) -> PreconditionError:
    """What is said where threads cannot be started."""
    return PreconditionError(
        f"this process cannot have the {count} threads that it needs for {name} ({error}); raise TasksMax= of its "
        "unit, or the limit of processes of its user (ulimit -u)",
        reason="NO_MORE_THREADS",
    )


def with_threads(new_loop: Callable[[], LoopT]) -> Callable[[], LoopT]:
    """Makes loops as `new_loop` does, each with `LOOP_THREADS` for `asyncio.to_thread`; for `asyncio.Runner`.

    Raises:
        PreconditionError: by what is returned: this process may not have so many threads.
    """

    def made() -> LoopT:
        threads = started_threads(LOOP_THREADS, "worker")
        loop = new_loop()
        loop.set_default_executor(threads)

        async def wait_for_threads(_timeout_s: float | None = None) -> None:
            threads.shutdown(wait=True)

        # The library's own starts one more thread to wait for these.
        loop.shutdown_default_executor = wait_for_threads  # type: ignore[method-assign]
        return loop

    return made
