"""Reads a segment into memory; most of the newest one is zeroes that nothing was written over yet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path
from typing import NamedTuple

from weftmesh.agent.raft.log.format import PIECE_BYTES, is_blank


class Contents(NamedTuple):
    """A segment, read.

    Attributes:
        data: all of it.
        written_bytes: there are only zeroes from here on; the last piece before it may end with some.
    """

    data: mmap
    written_bytes: int


@contextmanager
def segment_contents(path: Path) -> Iterator[Contents]:
    """The whole file, in memory that goes back to the system at once: what malloc takes for it may stay.

    Pieces of zeroes are not copied: a new mapping reads as zeroes, and takes memory only where something is put.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as stream:
        size_bytes = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        with mmap(-1, size_bytes) as data:
            at = written_bytes = 0
            while piece := stream.read(min(PIECE_BYTES, size_bytes - at)):
                behind = at + len(piece)
                if not is_blank(piece, 0):
                    data[at:behind] = piece
                    written_bytes = behind
                at = behind
            yield Contents(data, written_bytes)
