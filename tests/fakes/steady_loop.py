"""An event loop to whose clock a pause of the machine is a moment: timeouts of a fraction of a second that tests set
measure what the tests do, and not what else the machine does.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Final

TURN_MAX_S: Final = 0.0002
"""What one turn of the loop counts at most; above zero, so that a loop that never waits gets on."""


class _SteadySelector(selectors.DefaultSelector):
    """Moves the clock: while somebody waits here, by the time that was to be waited at most."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = self._seen_s = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._move(TURN_MAX_S)
        found = super().select(timeout)
        self._move(None if timeout is None else max(timeout, 0.0) + TURN_MAX_S)
        return found

    def _move(self, most_s: float | None) -> None:
        seen_s = time.monotonic()
        passed_s = seen_s - self._seen_s
        self._seen_s = seen_s
        self.now_s += passed_s if most_s is None else min(passed_s, most_s)


class SteadyLoop(asyncio.SelectorEventLoop):
    """Its time stands while callbacks run, and is behind time.monotonic() by what the machine was late."""

    def __init__(self) -> None:
        self._clock = _SteadySelector()
        super().__init__(self._clock)

    def time(self) -> float:
        """As AbstractEventLoop.time."""
        return self._clock.now_s


def loop_time_s(otherwise: Callable[[], float]) -> Callable[[], float]:
    """A clock that is the running loop's where one runs."""

    def read() -> float:
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return otherwise()

    return read
