"""What the critical lane and its parent say to each other."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from weftmesh.runtime.lanes.framing import frame, pack_text, unpack_text

_TICK: Final = struct.Struct(">ddI")
_RESULT: Final = struct.Struct(">QdddB")
_ALIVE: Final = struct.Struct(">QQ")


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 1
    """The child is ready: whether it is real time, and why not."""
    TICKS = 2
    """The parent's wish: all ticks there are from now on."""
    RESULT = 3
    """The child ran a tick."""
    ALIVE = 4
    """The child's loop turns: ticks that it skipped, results that it could not send."""


class Ending(IntEnum):
    """How a tick ended."""

    DONE = 1
    FAILED = 2
    """It raised; the payload is the error in words."""
    DEADLINE = 3
    """It was given up at its deadline."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Something to be done again and again.

    Attributes:
        name: its own.
        function: as registered, see `registry.TICKS`.
        period_s: from one start to the next; a start that would come before the last one ended is skipped.
        deadline_s: when it is given up, from its start.
        payload: for the function.
    """

    name: str
    function: str
    period_s: float
    deadline_s: float
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class TickResult:
    """A tick that ran.

    Attributes:
        name: of the tick.
        number: of this start, since the tick was set, from 1.
        started_s: in the monotonic clock, which is one for all processes.
        late_s: after it should have started.
        ran_s: from start to end.
        ending: how it ended.
        payload: what the function returned.
    """

    name: str
    number: int
    started_s: float
    late_s: float
    ran_s: float
    ending: Ending
    payload: bytes


def hello(real_time: bool, why: str) -> bytes:
    """A HELLO frame."""
    return frame(Kind.HELLO, bytes([real_time]) + why.encode())


def read_hello(body: bytes) -> tuple[bool, str]:
    """Whether the child is real time, and why not."""
    return bool(body[:1] != b"\0"), body[1:].decode(errors="replace")


def ticks(wanted: Sequence[Tick]) -> bytes:
    """A TICKS frame."""
    return frame(Kind.TICKS, b"".join(_tick(one) for one in wanted))


def read_ticks(body: bytes) -> Iterator[Tick]:
    """The ticks of a TICKS frame."""
    at = 0
    while at < len(body):
        name, at = unpack_text(body, at)
        function, at = unpack_text(body, at)
        period_s, deadline_s, size_bytes = _TICK.unpack_from(body, at)
        at += _TICK.size + size_bytes
        yield Tick(name, function, period_s, deadline_s, body[at - size_bytes : at])


def result(one: TickResult) -> bytes:
    """A RESULT frame."""
    numbers = _RESULT.pack(one.number, one.started_s, one.late_s, one.ran_s, one.ending)
    return frame(Kind.RESULT, pack_text(one.name) + numbers + one.payload)


def read_result(body: bytes) -> TickResult:
    """The result of a RESULT frame."""
    name, at = unpack_text(body, 0)
    number, started_s, late_s, ran_s, ending = _RESULT.unpack_from(body, at)
    return TickResult(name, number, started_s, late_s, ran_s, Ending(ending), body[at + _RESULT.size :])


def alive(skipped: int, dropped: int) -> bytes:
    """An ALIVE frame."""
    return frame(Kind.ALIVE, _ALIVE.pack(skipped, dropped))


def read_alive(body: bytes) -> tuple[int, int]:
    """Ticks skipped and results dropped since the child began."""
    skipped, dropped = _ALIVE.unpack(body)
    return skipped, dropped


def _tick(one: Tick) -> bytes:
    numbers = _TICK.pack(one.period_s, one.deadline_s, len(one.payload))
    return pack_text(one.name) + pack_text(one.function) + numbers + one.payload
