"""Whether the loop came by while something was done."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress


class Turns:
    """Watches the loop from now on.

    Attributes:
        count: how often it came by.
        longest_s: it did not for so long.
        whole_s: how long it was watched.
    """

    def __init__(self) -> None:
        self.count = 0
        self.longest_s = 0.0
        self.whole_s = 0.0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        begun_s = last_s = time.monotonic()
        while True:
            await asyncio.sleep(0)
            now_s = time.monotonic()
            self.longest_s, last_s = max(self.longest_s, now_s - last_s), now_s
            self.whole_s = now_s - begun_s
            self.count += 1

    async def stop(self) -> int:
        """Watch no longer; how often it came by."""
        await asyncio.sleep(0)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        return self.count
