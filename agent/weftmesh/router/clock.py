"""The times that tables are computed with: Unix seconds that never jump while the process runs."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from weftmesh.runtime.clock import wall_ms


def utc_text(table_s: float) -> str:
    """A time in the clock of tables, for people: `2026-11-22 13:04:11.9 UTC`."""
    text = datetime.fromtimestamp(table_s, UTC).isoformat(" ", "milliseconds")
    return f"{text[:-8]} UTC"


class Clock:
    """The wall clock as it was when the process began, and what the monotonic clock counted since.

    Tables keep times on disk, so they have to mean something to the next process; weights must not move because
    somebody sets the clock.
    """

    def __init__(self) -> None:
        self._offset_s = wall_ms() / 1e3 - time.monotonic()

    def monotonic_s(self) -> float:
        """The clock of samples and feedback."""
        return time.monotonic()

    def table_s(self) -> float:
        """The clock of tables."""
        return time.monotonic() + self._offset_s

    def wall_ms(self) -> int:
        """The clock of windows, which are those of the wall."""
        return wall_ms()
