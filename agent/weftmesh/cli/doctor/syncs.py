"""How long a disk takes to have what is appended, measured as the log does it."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SYNCS: Final = 16
SIZE_BYTES: Final = 4096
END_S: Final = 5.0
"""No further sync is begun after this."""


def sync_times_s(directory: Path) -> list[float]:
    """How long appends of 4 KiB take until the disk has them, one after the other, into room that was made before.

    Raises:
        OSError: the disk takes no writes.
    """
    path = directory / f".doctor.{os.getpid()}"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        path.unlink()  # whatever happens, nothing is left behind
        os.posix_fallocate(descriptor, 0, SYNCS * SIZE_BYTES)
        os.fsync(descriptor)
        begun_s, took_s = time.monotonic(), []
        for number in range(SYNCS):
            before_s = time.monotonic()
            os.pwrite(descriptor, os.urandom(SIZE_BYTES), number * SIZE_BYTES)
            os.fdatasync(descriptor)
            took_s.append(time.monotonic() - before_s)
            if time.monotonic() - begun_s > END_S:
                break
        return took_s
    finally:
        os.close(descriptor)


def told(took_s: Sequence[float]) -> str:
    """The times in words."""
    middle_ms, slowest_ms = statistics.median(took_s) * 1e3, max(took_s) * 1e3
    return f"{len(took_s)} syncs of {SIZE_BYTES // 1024} KiB: median {middle_ms:.2f} ms, slowest {slowest_ms:.2f} ms"
