"""What the C library keeps of memory that was freed: by default a share for each thread, and whatever lies between."""

from __future__ import annotations

import ctypes
from typing import Final

ARENAS: Final = 2
"""Heaps of malloc; gRPC's many threads would have one each, which costs some MiB."""
_M_ARENA_MAX: Final = -8
"""From malloc.h."""


def share_heaps() -> None:
    """Have all threads share a few heaps. To be called before there are threads; does nothing without glibc."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Give free memory back to the system; takes tens of milliseconds. Does nothing without glibc."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
