"""TCP connections out of a capture at the client's end: when each began, was accepted or refused, what was answered."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.netns.packets import Flags, Segment

_SEQUENCES: Final = 1 << 32
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)


@dataclass
class Connection:
    """One connection, at the client's end.

    Attributes:
        target: the server's address.
        port: the server's port.
        began_ns: when the first SYN was sent, Unix time.
        accepted_ns: when the first SYN-ACK came.
        reset_ns: when the server refused or broke it.
        asked_ns: when the client sent data first.
        answered_ns: when the first answer of HTTP was there, to its last byte.
        status: of that answer.
    """

    target: str
    port: int
    began_ns: int
    first_sequence: int
    accepted_ns: int | None = None
    reset_ns: int | None = None
    asked_ns: int | None = None
    answered_ns: int | None = None
    status: int = 0
    _server_sequence: int = 0
    _pieces: dict[int, bytes] = field(default_factory=dict)

    @property
    def took_ns(self) -> int | None:
        """How long the server took to accept it and, where it was asked, to answer; None without an answer."""
        if self.accepted_ns is None or self.asked_ns is None:
            return None if self.accepted_ns is None else self.accepted_ns - self.began_ns
        if self.answered_ns is None:
            return None
        return self.accepted_ns - self.began_ns + self.answered_ns - self.asked_ns

    def sent(self, at_ns: int, segment: Segment) -> None:
        """Take a segment of the client."""
        if segment.payload and self.asked_ns is None:
            self.asked_ns = at_ns

    def came(self, at_ns: int, segment: Segment) -> None:
        """Take a segment of the server."""
        if segment.flags & Flags.RST and self.reset_ns is None:
            self.reset_ns = at_ns
        if segment.flags & Flags.SYN and self.accepted_ns is None:
            self.accepted_ns = at_ns
            self._server_sequence = (segment.sequence + 1) % _SEQUENCES
        if segment.payload and self.accepted_ns is not None and self.answered_ns is None:
            place = (segment.sequence - self._server_sequence) % _SEQUENCES
            self._pieces[place] = max(self._pieces.get(place, b""), segment.payload, key=len)
            self._read(at_ns)

    def _read(self, at_ns: int) -> None:
        """Whether what came so far, up to the first gap, is a whole answer."""
        stream = b""
        for place, piece in sorted(self._pieces.items()):
            if place > len(stream):
                break
            stream = stream[:place] + piece if len(piece) > len(stream) - place else stream
        head, end, body = stream.partition(b"\r\n\r\n")
        status, length = _STATUS.match(head), _LENGTH.search(head + b"\r\n")
        if end and status and length and len(body) >= int(length[1]):
            self.answered_ns, self.status = at_ns, int(status[1])


def connections(segments: Iterable[tuple[int, Segment]], client: str) -> list[Connection]:
    """The connections that a client began, in that order.

    Args:
        segments: with the moment of each, in order.
        client: its address.
    """
    begun: list[Connection] = []
    latest: dict[tuple[int, str, int], Connection] = {}
    for at_ns, segment in segments:
        if segment.source == client:
            key = (segment.source_port, segment.target, segment.target_port)
            if segment.flags & Flags.SYN and (key not in latest or latest[key].first_sequence != segment.sequence):
                latest[key] = Connection(segment.target, segment.target_port, at_ns, segment.sequence)
                begun.append(latest[key])
            if key in latest:
                latest[key].sent(at_ns, segment)
        else:
            key = (segment.target_port, segment.source, segment.source_port)
            if key in latest:
                latest[key].came(at_ns, segment)
    return begun
