"""Work that gives its turn back: how to write it, and how to make it out of what yields."""

from __future__ import annotations

import time
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")
STEP_S: Final = 0.002
"""How long to go on before giving the turn back: a slice is 5 ms, and one item more takes time too."""


@types.coroutine
def pause() -> Generator[None, None, None]:
    """Give the turn back, and go on when it is this job's turn again. Outside of lanes, as `asyncio.sleep(0)`."""
    yield


async def in_steps(steps: Iterable[object]) -> None:
    """Run a generator whose every step is short; it gives its turn back at each `yield`."""
    for _ in steps:
        await pause()


async def returned(steps: Generator[object, None, T], step_s: float = STEP_S) -> T:
    """Run a generator whose every step is short, with a pause whenever `step_s` have passed; what it returns."""
    end_s = time.perf_counter() + step_s
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # StopIteration is not generic
        if time.perf_counter() >= end_s:
            await pause()
            end_s = time.perf_counter() + step_s


async def unhurried(items: Iterable[T], step_s: float = STEP_S) -> AsyncIterator[T]:
    """The items, with a pause whenever whoever takes them has had `step_s` since the last one."""
    end_s = time.perf_counter() + step_s
    for item in items:
        yield item
        if time.perf_counter() >= end_s:
            await pause()
            end_s = time.perf_counter() + step_s


async def drained(steps: AsyncIterator[object]) -> None:
    """Run an asynchronous generator; it gives its turn back at each `yield`, not only where it waits."""
    async for _ in steps:
        await pause()


def sliced(items: Iterable[T], work: Callable[[T], object], step_s: float = STEP_S) -> Iterator[int]:
    """Do `work` with one item after the other; yields how many are done whenever `step_s` have passed."""
    end_s = time.perf_counter() + step_s
    for done, item in enumerate(items, 1):
        work(item)
        if time.perf_counter() >= end_s:
            yield done
            end_s = time.perf_counter() + step_s
