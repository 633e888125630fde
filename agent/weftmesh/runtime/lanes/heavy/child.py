"""A worker of the pool: `python -m weftmesh.runtime.lanes.heavy.child NICE MODULE...`.

It does one thing at a time and ends when its parent does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import IntEnum

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.lanes.children import parents_channel
from weftmesh.runtime.lanes.framing import frame, pack_text, receive_frame, unpack_text
from weftmesh.runtime.lanes.registry import HEAVY, load


class Kind(IntEnum):
    """What a frame is."""

    WORK = 1
    """From the parent: a function's name, and what it is given."""
    DONE = 2
    """What it returned."""
    FAILED = 3
    """What it raised, in words."""


def work(function: str, payload: bytes) -> bytes:
    """The frame that asks for work."""
    return frame(Kind.WORK, pack_text(function) + payload)


def answer(body: bytes) -> bytes:
    """Do what a WORK frame says; return the frame with the answer."""
    name, at = unpack_text(body, 0)
    try:
        return frame(Kind.DONE, HEAVY[name](body[at:]))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's to know
        return frame(Kind.FAILED, f"{type(error).__name__}: {error}".encode()[:1000])


def main(arguments: Sequence[str]) -> None:
    """Serve the parent until it closes.

    Raises:
        InvalidInputError: the arguments are not those of a parent.
    """
    if not arguments or not arguments[0].isdecimal():
        raise InvalidInputError("usage: NICE MODULE...; only `runtime.lanes.heavy.pool` starts this")
    channel = parents_channel()
    os.nice(int(arguments[0]))
    load(arguments[1:])
    while (received := receive_frame(channel)) is not None:
        channel.sendall(answer(received[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
