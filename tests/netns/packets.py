"""What raw IPv4 packets say, as far as probes go: echo requests and replies, and TCP segments."""

from __future__ import annotations

import socket
import struct
from enum import IntFlag
from typing import Final, NamedTuple

_ICMP: Final = 1
_TCP: Final = 6
_ECHO_REPLY: Final = 0
_ECHO_REQUEST: Final = 8


class Echo(NamedTuple):
    """An ICMP echo request or the reply to one."""

    source: str
    target: str
    reply: bool
    identifier: int
    sequence: int
    payload: bytes


class Flags(IntFlag):
    """Of a TCP segment."""

    FIN = 1
    SYN = 2
    RST = 4
    ACK = 16


class Segment(NamedTuple):
    """A TCP segment."""

    source: str
    source_port: int
    target: str
    target_port: int
    sequence: int
    flags: Flags
    payload: bytes


def parse(packet: bytes) -> Echo | Segment | None:
    """An echo message or a segment; None for whatever else, and for what is cut short."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    head_bytes, whole_bytes, protocol = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big"), packet[9]
    if whole_bytes > len(packet):
        return None
    source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    body = packet[head_bytes:whole_bytes]
    if protocol == _ICMP and len(body) >= 8 and body[0] in (_ECHO_REPLY, _ECHO_REQUEST):
        identifier, sequence = struct.unpack_from(">HH", body, 4)
        return Echo(source, target, body[0] == _ECHO_REPLY, identifier, sequence, body[8:])
    if protocol == _TCP and len(body) >= 20:
        source_port, target_port, sequence = struct.unpack_from(">HHI", body)
        payload = body[(body[12] >> 4) * 4 :]
        return Segment(source, source_port, target, target_port, sequence, Flags(body[13] & 23), payload)
    return None
