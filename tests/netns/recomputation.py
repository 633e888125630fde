"""What OLA numbers have to come out, computed from the wire's log alone, without any code or data of the router."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.netns.connections import connections
from tests.netns.packets import Echo, Segment, parse
from tests.netns.pcap import read_capture

MS_NS: Final = 1_000_000
PING: Final = "ping"
CONNECT: Final = "connect"
REQUEST: Final = "request"


@dataclass(frozen=True, slots=True)
class Probed:
    """One probe, as the wire saw it.

    Attributes:
        kind: PING, CONNECT or REQUEST; a request whose connection never came about is a CONNECT here.
        address: which was probed.
        port: of it; 0 for pings.
        ended_ns: when it was answered or given up, Unix time.
        answered: whether anything came back in time.
        good: whether the answer was no error.
        took_ns: until a ping was answered; until a connection was accepted and, from the first byte that was asked on,
            until the last one of the answer. What the prober waits by itself in between is not part of it.
    """

    kind: str
    address: str
    port: int
    ended_ns: int
    answered: bool
    good: bool
    took_ns: int | None


@dataclass(frozen=True, slots=True)
class Count:
    """Events of one objective."""

    good: int
    total: int

    @property
    def bad(self) -> int:
        """Those that are not good."""
        return self.total - self.good


def probed(captures: Mapping[Path, str], ping_timeout_ms: int, connection_timeout_ms: int) -> list[Probed]:
    """Every probe in some captures, in no particular order.

    Args:
        captures: of the prober's ends of links, each with the prober's address there.
        ping_timeout_ms: after which a ping is given up.
        connection_timeout_ms: after which a connection or a request is given up.
    """
    found: list[Probed] = []
    for path, client in captures.items():
        echoes: list[tuple[int, Echo]] = []
        segments: list[tuple[int, Segment]] = []
        for at_ns, packet in read_capture(path):
            match parse(packet):
                case Echo() as echo:
                    echoes.append((at_ns, echo))
                case Segment() as segment:
                    segments.append((at_ns, segment))
        found += _pings(echoes, ping_timeout_ms * MS_NS)
        found += _connections(segments, client, connection_timeout_ms * MS_NS)
    return found


def _pings(echoes: Sequence[tuple[int, Echo]], timeout_ns: int) -> list[Probed]:
    found = []
    waiting: dict[tuple[str, int, int, bytes], int] = {}

    def lost(address: str, began_ns: int) -> Probed:
        return Probed(PING, address, 0, began_ns + timeout_ns, answered=False, good=False, took_ns=None)

    for at_ns, echo in echoes:
        address = echo.source if echo.reply else echo.target
        key = (address, echo.identifier, echo.sequence, echo.payload)
        began_ns = waiting.pop(key, None)
        if echo.reply and began_ns is not None and at_ns - began_ns <= timeout_ns:
            found.append(Probed(PING, address, 0, at_ns, answered=True, good=True, took_ns=at_ns - began_ns))
        elif began_ns is not None:
            found.append(lost(address, began_ns))
        if not echo.reply:
            waiting[key] = at_ns
    return found + [lost(key[0], began_ns) for key, began_ns in waiting.items()]


def _connections(segments: Sequence[tuple[int, Segment]], client: str, timeout_ns: int) -> list[Probed]:
    found = []
    for one in connections(segments, client):
        asked = one.asked_ns is not None
        end_ns = one.answered_ns if asked else one.accepted_ns
        good, took_ns = not asked or one.status < 400, one.took_ns
        if took_ns is None and one.reset_ns is not None:
            end_ns, good, took_ns = one.reset_ns, False, one.reset_ns - one.began_ns
        if end_ns is None or end_ns - one.began_ns > timeout_ns:
            end_ns, good, took_ns = one.began_ns + timeout_ns, False, None
        kind = REQUEST if asked else CONNECT
        found.append(Probed(kind, one.target, one.port, end_ns, took_ns is not None, good, took_ns))
    return found


@dataclass(frozen=True, slots=True)
class Objectives:
    """What is promised of some addresses, in the words of the log.

    Attributes:
        addresses: whose probes count.
        port: of connections and requests; 0 where only pings do.
        thresholds_us: response times by percentile, as in {"99": 60_000}.
        with_loss: whether packet loss is promised; pings are what it is counted by.
    """

    addresses: frozenset[str]
    port: int
    thresholds_us: dict[str, int]
    with_loss: bool

    def counts(self, probes: Iterable[Probed], from_ns: int, until_ns: int) -> dict[str, Count]:
        """The count of each objective, by its key, of probes that ended in a span of time."""
        sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])

        def add(key: str, good: bool) -> None:
            sums[key][0] += good
            sums[key][1] += 1

        for one in probes:
            if one.address not in self.addresses or not from_ns <= one.ended_ns < until_ns:
                continue
            if one.port == 0 and self.with_loss:
                add("packet-loss", one.answered)
            if one.port == self.port:
                add("uptime", one.good)
                for percentile, threshold_us in self.thresholds_us.items():
                    if one.good and one.took_ns is not None:
                        add(f"response-time-p{percentile}", one.took_ns <= threshold_us * 1_000)
        return {key: Count(*pair) for key, pair in sums.items()}
