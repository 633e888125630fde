"""What the kernel knows of when TCP segments came: a loop that is late must not make an endpoint look slow."""

from __future__ import annotations

import socket
import struct
from typing import Final

_BYTES: Final = 104
_LAST_DATA_RECEIVED: Final = 52
_ROUND_TRIP: Final = 68
_RETRANSMITTED: Final = 100
"""Where numbers stand in `struct tcp_info` of linux/tcp.h, which only ever grows at its end."""
TICK_S: Final = 0.010
"""The kernel counts the age of data in ticks, of which it has 100 a second or more."""


def handshake_s(connection: socket.socket) -> float | None:
    """How long the other side took to accept a fresh connection; None where the first segment had to be sent again."""
    info = _info(connection)
    round_trip_us = _number(info, _ROUND_TRIP)
    return round_trip_us / 1e6 if round_trip_us and not _number(info, _RETRANSMITTED) else None


def data_waited_s(connection: socket.socket) -> float:
    """How long the newest data had been here at least when it was read just now."""
    return max(0.0, _number(_info(connection), _LAST_DATA_RECEIVED) / 1e3 - TICK_S)


def _info(connection: socket.socket) -> bytes:
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES)


def _number(info: bytes, place: int) -> int:
    return int(struct.unpack_from("=I", info, place)[0])
