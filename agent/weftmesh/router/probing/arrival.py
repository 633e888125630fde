"""When answers came: a loop that is late must not make an endpoint look slow. The kernel knows of TCP segments."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_BYTES: Final = 104
_LAST_DATA_SENT: Final = 44
_LAST_DATA_RECEIVED: Final = 52
_ROUND_TRIP: Final = 68
_RETRANSMITTED: Final = 100
"""Where numbers stand in `struct tcp_info` of linux/tcp.h, which only ever grows at its end."""
TICK_S: Final = 0.010
"""The kernel counts the age of data in ticks, of which it has 100 a second or more."""
_LAST_LOOK_S: Final = 0.020


@asynccontextmanager
async def heard_within(timeout_s: float) -> AsyncIterator[None]:
    """Bounds a block's time. A loop that comes to the end too late looks first at what has come meanwhile.

    Raises:
        TimeoutError: the time is over. An answer that was heard may still have come too late.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as bound:
        timer = loop.call_later(timeout_s, lambda: bound.reschedule(loop.time() + _LAST_LOOK_S))
        try:
            yield
        finally:
            timer.cancel()


def handshake_s(connection: socket.socket) -> float | None:
    """How long the other side took to accept a fresh connection; None where the first segment had to be sent again."""
    info = _info(connection)
    round_trip_us = _number(info, _ROUND_TRIP)
    return round_trip_us / 1e6 if round_trip_us and not _number(info, _RETRANSMITTED) else None


def data_waited_s(connection: socket.socket) -> float:
    """How long the newest data had been here at least when it was read just now."""
    return max(0.0, _number(_info(connection), _LAST_DATA_RECEIVED) / 1e3 - TICK_S)


def exchange_s(connection: socket.socket) -> float | None:
    """How long at most the newest data came after what was sent; None where something had to be sent again."""
    info = _info(connection)
    if _number(info, _RETRANSMITTED):
        return None
    return max(0, _number(info, _LAST_DATA_SENT) - _number(info, _LAST_DATA_RECEIVED)) / 1e3 + TICK_S


def _info(connection: socket.socket) -> bytes:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES)


def _number(info: bytes, place: int) -> int:
    return int(struct.unpack_from("=I", info, place)[0])
