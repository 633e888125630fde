"""The descriptors of this process, of which tests that ran before may have left some to be closed at any moment."""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_OWN = "/proc/self/fd"


def open_files() -> Counter[str]:
    """How many descriptors there are of each file, pipe and socket."""
    found: Counter[str] = Counter()
    for number in os.listdir(_OWN):
        with suppress(OSError):  # the listing itself, and what was closed since
            found[os.readlink(f"{_OWN}/{number}")] += 1
    return found


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """Of the numbers that this process may have, only so many are free."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir(_OWN))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + count, before[1]))
    filling: list[int] = []
    try:
        with suppress(OSError):
            while True:
                filling.append(os.dup(0))
        for _ in range(count):
            os.close(filling.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for one in filling:
            os.close(one)
