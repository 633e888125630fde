"""Processes that use every processor they get, for a bounded time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

BUSY_S_MAX: Final = 20
"""Nobody runs for longer, whatever becomes of whoever started it."""
_LOOP: Final = f"""
import time
end_s = time.monotonic() + {BUSY_S_MAX}
while time.monotonic() < end_s:
    sum(range(10_000))
"""


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Have so many busy processes for as long as this is open, and no longer than 20 s."""
    processes = [subprocess.Popen([sys.executable, "-c", _LOOP]) for _ in range(count)]  # noqa: S603 - our own text
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
