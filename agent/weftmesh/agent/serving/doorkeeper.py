"""Cuts connections on the node's ports that stand in the way of others.

gRPC bounds what one connection may do, and how many there are in all. It does not know how many come from one address,
which of them have shown a certificate and made a call, and which do nothing but get refused. It accepts by itself, too,
so connections are looked at here once a second: through the process's own descriptors, which takes no privilege. One
that has to go is shut down as if its peer had hung up, and gRPC closes it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import unquote

from weftmesh.agent.serving.refusals import Refusals
from weftmesh.core.rate import Buckets, Rate
from weftmesh.runtime.config import LimitsConfig

SWEEP_S: Final = 1.0
SWEEP_PAUSE_S: Final = 0.1
"""Between sweeps that cannot wait for the second to pass."""
PROOF_S: Final = 20.0
"""For a new connection to make a call with a certificate of this mesh; on the enrolment port, to be done."""
UNPROVEN_BYTES_MAX: Final = 256 * 1024
"""What a connection may send before that: a handshake and a first request, several times over."""
STRIKES: Final = Rate(per_s=50.0, burst=200.0)
"""Calls of one connection that are refused, and log streams that it opens. A client that waits as it is told makes few;
a peer opens one stream a connection."""
CONNECTIONS_A_TURN: Final = 64
"""Looked at before others get their turn on the event loop."""

OPEN_STATES: Final = frozenset({1, 8})
"""Of Linux's tcpi_state, the first byte of its struct tcp_info: established, and one that the peer has closed. A
listener is in another, and so is what was shut before."""
_RECEIVED: Final = struct.Struct("Q")
_RECEIVED_AT_BYTES: Final = 128
"""tcpi_bytes_received in the same struct."""


@dataclass(slots=True)
class Connection:
    """An accepted connection.

    Attributes:
        end: a descriptor of its own for the same connection.
        peer: as `ServicerContext.peer` spells it.
        host: the peer's address.
        since_s: when it was first seen.
        received_bytes: so far.
    """

    end: socket.socket
    peer: str
    host: str
    since_s: float
    received_bytes: int


class Connections:
    """What calls tell about the connections that they come over."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._strikes = Buckets(STRIKES)
        self.proven_peers: set[str] = set()
        self.misused_peers: set[str] = set()
        self.urgent = asyncio.Event()
        """Set when a connection is misused."""

    def proven(self, peer: str) -> None:
        """A call with a certificate of this mesh came over the connection of `peer`."""
        self.proven_peers.add(unquote(peer))

    def strike(self, peer: str) -> None:
        """A call over this connection was refused, or it opened one more stream than it needs."""
        if self._strikes.take(peer, self._clock()):
            self.misused(peer)

    def misused(self, peer: str) -> None:
        """This connection has to go."""
        self.misused_peers.add(unquote(peer))
        self.urgent.set()


class Doorkeeper:
    """Looks at the connections on some ports, once a second.

    Args:
        ports: that this process listens on now.
        connections: what calls told.
        limits: the settings; see `follow`.
        refusals: counts.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        ports: Callable[[], set[int]],
        connections: Connections,
        limits: LimitsConfig,
        refusals: Refusals,
        clock: Callable[[], float],
    ) -> None:
        self._ports = ports
        self._connections = connections
        self._refusals = refusals
        self._clock = clock
        self._seen_s: dict[int, float] = {}
        """When each connection, by its inode, was first seen."""
        self.follow(limits)

    def follow(self, limits: LimitsConfig) -> None:
        """Take over changed settings."""
        self._most, self._most_per_host = limits.connections, limits.connections_per_address

    async def run(self) -> None:
        """Sweep until cancelled."""
        urgent = self._connections.urgent
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S):
                    await urgent.wait()
            urgent.clear()
            await self.sweep()
            await asyncio.sleep(SWEEP_PAUSE_S)

    async def sweep(self) -> int:
        """Cut what has to go; returns how many connections that were."""
        found: list[Connection] = []
        proven_before = set(self._connections.proven_peers)
        try:
            seen_s: dict[int, float] = {}
            for number, one in enumerate(self._accepted(seen_s), 1):
                found.append(one)
                if number % CONNECTIONS_A_TURN == 0:
                    await asyncio.sleep(0)
            self._seen_s = seen_s
            # Others were accepted and proved themselves while this looked.
            self._connections.proven_peers -= proven_before - {one.peer for one in found}
            condemned = self._condemned(found)
            for one, reason in condemned:
                self._refusals.count(reason, one.peer)
                _shut(one.end)
            return len(condemned)
        finally:
            for one in found:
                one.end.close()

    def _accepted(self, seen_s: dict[int, float]) -> Iterator[Connection]:
        """Every connection on the ports; `seen_s` gets when each was first seen."""
        ports, now_s = self._ports(), self._clock()
        for name in os.listdir("/proc/self/fd"):
            end = _duplicate(int(name))
            if end is None:
                continue
            try:
                inode = os.fstat(end.fileno()).st_ino
                # One of our duplicates may have got a number that was free again when it was listed.
                if inode in seen_s or end.getsockname()[1] not in ports:
                    end.close()
                    continue
                info = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED_AT_BYTES + _RECEIVED.size)
                if info[0] not in OPEN_STATES:
                    end.close()
                    continue
                host, port = end.getpeername()[:2]
            except OSError:  # its peer is gone
                end.close()
                continue
            seen_s[inode] = self._seen_s.get(inode, now_s)
            host, peer = _named(host, port)
            (received,) = _RECEIVED.unpack_from(info, _RECEIVED_AT_BYTES)
            yield Connection(end, peer, host, seen_s[inode], received)

    def _condemned(self, found: list[Connection]) -> list[tuple[Connection, str]]:
        """Whom to cut, and why. Those that proved themselves the longest ago stay, then the newest of the others."""
        misused, self._connections.misused_peers = self._connections.misused_peers, set()
        now_s = self._clock()
        out: list[tuple[Connection, str]] = []
        by_host: Counter[str] = Counter()
        kept = 0
        proven = self._connections.proven_peers

        def rank(one: Connection) -> tuple[bool, float]:
            return (False, one.since_s) if one.peer in proven else (True, -one.since_s)

        for one in sorted(found, key=rank):
            is_late = now_s - one.since_s > PROOF_S or one.received_bytes > UNPROVEN_BYTES_MAX
            if one.peer in misused:
                out.append((one, "CONNECTION_MISUSED"))
            elif one.peer not in proven and is_late:
                out.append((one, "CONNECTION_UNPROVEN"))
            elif by_host[one.host] >= self._most_per_host or kept >= self._most:
                out.append((one, "TOO_MANY_CONNECTIONS"))
            else:
                by_host[one.host] += 1
                kept += 1
        return out


def _duplicate(descriptor: int) -> socket.socket | None:
    """A TCP socket of this process under another descriptor, which no other thread can close meanwhile.

    What is behind `descriptor` may change at any time, and what is behind the other one never does: only that one is
    asked what it is and acted upon.
    """
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        own = os.dup(descriptor)
    except OSError:
        return None
    try:
        end = socket.socket(fileno=own)
    except OSError:  # the number was given to a file meanwhile
        os.close(own)
        return None
    if end.family in (socket.AF_INET, socket.AF_INET6) and end.type == socket.SOCK_STREAM:
        return end
    end.close()
    return None


def _named(host: str, port: int) -> tuple[str, str]:
    """An address, and how gRPC spells a peer there once `unquote` has been at it."""
    address = ip_address(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address), f"ipv6:[{address}]:{port}" if isinstance(address, IPv6Address) else f"ipv4:{address}:{port}"


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # its peer was quicker
