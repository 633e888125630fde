"""Long reading beside the event loop: an iterator is drawn from in a thread, a slice at a time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
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
    piece: list[T] = []
    while len(piece) < SLICE_ITEMS and (few := list(islice(items, _YIELD_ITEMS))):
        piece += few
        os.sched_yield()  # lets go of the interpreter, for which the loop would wait 5 ms at every turn
    return piece
