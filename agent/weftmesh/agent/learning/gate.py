"""Lets a few through at a time; the others wait in a queue that has an end."""

from __future__ import annotations

import asyncio
from types import TracebackType

from weftmesh.core.errors import OverloadedError


class Gate:
    """An asynchronous context manager that at most `inside_max` hold at a time."""

    def __init__(self, inside_max: int, waiting_max: int) -> None:
        self._places = asyncio.Semaphore(inside_max)
        self._waiting_max = waiting_max
        self._waiting = 0

    async def __aenter__(self) -> None:
        if self._waiting >= self._waiting_max:
            raise OverloadedError(f"{self._waiting_max} of these wait on this node already; try again in a second")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._places.release()
