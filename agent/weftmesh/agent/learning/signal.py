"""Wakes everybody who waits for something to change; costs nothing while nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Signal:
    """Wakes all waiters at once. On the event loop only."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def waiters(self) -> int:
        """How many wait."""
        return len(self._waiters)

    def fire(self) -> None:
        """Wake everybody who waits now."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        """Return the next time that it fires."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


async def until(holds: Callable[[], bool], moved: Callable[[], Awaitable[None]], timeout_s: float) -> bool:
    """Wait until `holds()`, looked at now and after each time that `moved` returns; whether it came true in time."""
    try:
        async with asyncio.timeout(timeout_s):
            while not holds():
                await moved()
    except TimeoutError:
        return holds()
    return True
