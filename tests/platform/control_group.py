"""A control group for each machine: the systemds of machines in one would take one another's services for their own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EMPTY_TIMEOUT_S = 10.0
POLL_S = 0.1
ENTER = ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"')
"""Followed by the group and a command, which runs in the group."""


@contextmanager
def control_group(name: str) -> Iterator[Path]:
    """The directory of a new group, which is gone afterwards with all below it."""
    path = _mounted() / f"weftmesh-{name}-{os.getpid()}"
    path.mkdir()
    try:
        yield path
    finally:
        _remove(path)


def _mounted() -> Path:
    """Where the unified hierarchy is."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return next(Path(where) for _, where, kind, *_ in mounts if kind == "cgroup2")


def _remove(path: Path) -> None:
    deadline = time.monotonic() + EMPTY_TIMEOUT_S
    while True:
        try:
            for below in sorted((one for one in path.rglob("*") if one.is_dir()), reverse=True):
                below.rmdir()
            path.rmdir()
        except OSError:  # what was in it is still ending
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_S)
        else:
            return
