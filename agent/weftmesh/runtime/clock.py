"""The wall clock. The only place that reads it, so that everything else can take the time as an argument."""

from __future__ import annotations

import time


def wall_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def wall_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000
