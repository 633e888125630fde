"""Long reading beside the event loop: an iterator is drawn from in a thread, a slice at a time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

SLICE_ITEMS: Final = 1_024
"""Between two looks at whether anybody still waits."""
_YIELD_ITEMS: Final = 16

T = TypeVar("T")


async def slices(items: Iterator[T]) -> AsyncIterator[list[T]]:
    """Everything in `items`, in order."""
    while piece := await asyncio.to_thread(_drawn, items):
        yield piece


def _drawn(items: Iterator[T]) -> list[T]:
    return list(islice(in_turns(items), SLICE_ITEMS))


def in_turns(items: Iterable[T]) -> Iterator[T]:
    """Everything in `items`, for a thread that takes long: it lets go of the interpreter every few of them.

    The event loop would wait 5 ms for it at every turn, and many writes are under way at once.
    """
    for number, item in enumerate(items):
        if number % _YIELD_ITEMS == 0:
            os.sched_yield()
        yield item
