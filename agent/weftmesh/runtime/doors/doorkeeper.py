"""Cuts connections on a process's ports and local sockets that stand in the way of others.

gRPC bounds what one connection may do, and how many there are in all. It does not know how many come from one address
or one user, which of them have shown a certificate and made a call, and which do nothing but get refused. It accepts by
itself, too, so connections are looked at here once a second: through the process's own descriptors. One that has to go
is shut down as if its peer had hung up, and gRPC closes it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import unquote

from weftmesh.core.rate import Buckets, Rate
from weftmesh.runtime.doors.descriptors import LOCAL, OVER_TCP, Hand, named, own_descriptors, shut, user_of
from weftmesh.runtime.doors.refusals import Refusals

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
CONNECTIONS_SEARCHED: Final = 256
"""At 20 us each, for one that is misused; with more of them a sweep is what finds it."""
USERS_SHARE: Final = 0.75
"""Of the connections to local sockets, what one user may have: the others shall find room."""

OPEN_STATES: Final = frozenset({1, 8})
"""Of Linux's tcpi_state, the first byte of its struct tcp_info: established, and one that the peer has closed. A
listener is in another, and so is what was shut before."""
_RECEIVED: Final = struct.Struct("Q")
_RECEIVED_AT_BYTES: Final = 128
"""tcpi_bytes_received in the same struct."""


class ConnectionLimits(Protocol):
    """How many connections a process takes; a section of the configuration."""

    @property
    def connections(self) -> int:
        """On all ports together, and as many on all local sockets together."""

    @property
    def connections_per_address(self) -> int:
        """Of those on ports, from one address."""


@dataclass(slots=True)
class Connection:
    """An accepted connection.

    Attributes:
        descriptor: where it was found; may be another one's by now.
        inode: which it alone has.
        peer: as `ServicerContext.peer` spells it; on a local socket, the user.
        whose: the peer's address, or the user.
        since_s: when it was first seen.
        received_bytes: so far; 0 on a local socket, of which nobody knows.
        is_local: whether it came over a local socket, whose mode has said who may come.
    """

    descriptor: int
    inode: int
    peer: str
    whose: str
    since_s: float
    received_bytes: int = 0
    is_local: bool = False


class Connections:
    """What calls tell about the connections that they come over."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._strikes = Buckets(STRIKES)
        self.proven_peers: set[str] = set()
        self.misused_peers: set[str] = set()
        self.on_misuse: Callable[[], object] = lambda: None
        """Called when a connection is misused."""

    def proven(self, peer: str) -> None:
        """A call with a certificate of this mesh came over the connection of `peer`."""
        self.proven_peers.add(unquote(peer))

    def disproven(self, peer: str) -> None:
        """A call over this connection was refused for its certificate."""
        self.proven_peers.discard(unquote(peer))

    def strike(self, peer: str) -> None:
        """A call over this connection was refused, or it opened one more stream than it needs."""
        if self._strikes.take(peer, self._clock()):
            self.misused(peer)

    def misused(self, peer: str) -> None:
        """This connection has to go."""
        spelled = unquote(peer)
        if spelled not in self.misused_peers:
            self.misused_peers.add(spelled)
            self.on_misuse()


class Doorkeeper:
    """Looks at the connections on some ports and local sockets, once a second.

    Args:
        ports: that this process listens on now.
        connections: what calls told.
        limits: the settings; see `follow`.
        refusals: counts.
        clock: monotonic seconds.
        sockets: paths of local sockets whose connections are counted here, too.
    """

    def __init__(
        self,
        ports: Callable[[], set[int]],
        connections: Connections,
        limits: ConnectionLimits,
        refusals: Refusals,
        clock: Callable[[], float],
        sockets: Collection[str] = (),
    ) -> None:
        self._ports = ports
        self._sockets = frozenset(sockets)
        self._families = OVER_TCP | LOCAL if sockets else OVER_TCP
        self._connections = connections
        self._refusals = refusals
        self._clock = clock
        self._hand = Hand()
        self._seen_s: dict[int, float] = {}
        """When each connection, by its inode, was first seen."""
        self._urgent = asyncio.Event()
        connections.on_misuse = self.cut_misused
        self.follow(limits)

    def follow(self, limits: ConnectionLimits) -> None:
        """Take over changed settings."""
        self._most, self._most_per_host = limits.connections, limits.connections_per_address

    async def run(self) -> None:
        """Sweep until cancelled."""
        urgent = self._urgent
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S):
                    await urgent.wait()
            urgent.clear()
            await self.sweep()
            await asyncio.sleep(SWEEP_PAUSE_S)

    def cut_misused(self) -> None:
        """Cut connections that are misused, at once: what they have sent already would be handled meanwhile.

        Where there are so many that to find one takes longer than a few calls, the next sweep does it.
        """
        if len(self._seen_s) > CONNECTIONS_SEARCHED:
            self._urgent.set()
            return
        for one in self._accepted({}):
            if one.peer in self._connections.misused_peers:
                self._cut(one, "CONNECTION_MISUSED")

    async def sweep(self) -> int:
        """Cut what has to go; returns how many connections that were."""
        found: list[Connection] = []
        proven_before = set(self._connections.proven_peers)
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
            self._cut(one, reason)
        return len(condemned)

    def _cut(self, one: Connection, reason: str) -> None:
        end = self._hand.take(one.descriptor, self._families)
        if end is None:
            return
        try:
            if os.fstat(end.fileno()).st_ino == one.inode:
                self._refusals.count(reason, one.peer)
                shut(end)
        finally:
            self._hand.let_go(end)

    def _accepted(self, seen_s: dict[int, float]) -> Iterator[Connection]:
        """Every connection at the doors; `seen_s` gets when each was first seen."""
        ports, now_s = self._ports(), self._clock()
        for descriptor in own_descriptors():
            end = self._hand.take(descriptor, self._families)
            if end is None:
                continue
            try:
                inode = os.fstat(end.fileno()).st_ino
                known = None
                if inode not in seen_s:
                    known = self._known(end, (descriptor, inode), ports, self._seen_s.get(inode, now_s))
            except OSError:  # its peer is gone
                continue
            finally:
                self._hand.let_go(end)
            if known is not None:
                seen_s[inode] = known.since_s
                yield known

    def _known(
        self, end: socket.socket, which: tuple[int, int], ports: Collection[int], since_s: float
    ) -> Connection | None:
        """What there is to know of a connection; None for a socket that is no connection at one of these doors.

        Raises:
            OSError: it is gone.
        """
        if end.family == socket.AF_UNIX:
            if end.getsockname() not in self._sockets or end.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return None
            user = f"user {user_of(end)}"
            return Connection(*which, user, user, since_s, is_local=True)
        if end.getsockname()[1] not in ports:
            return None
        info = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED_AT_BYTES + _RECEIVED.size)
        if info[0] not in OPEN_STATES:
            return None
        host, peer = named(*end.getpeername()[:2])
        (received,) = _RECEIVED.unpack_from(info, _RECEIVED_AT_BYTES)
        return Connection(*which, peer, host, since_s, received)

    def _condemned(self, found: list[Connection]) -> list[tuple[Connection, str]]:
        """Whom to cut, and why."""
        misused, self._connections.misused_peers = self._connections.misused_peers, set()
        remote = [one for one in found if not one.is_local]
        return [*self._condemned_remote(remote, misused), *self._condemned_local(one for one in found if one.is_local)]

    def _condemned_remote(self, found: list[Connection], misused: Collection[str]) -> Iterator[tuple[Connection, str]]:
        """Those that proved themselves the longest ago stay, then the newest of the others."""
        now_s, proven = self._clock(), self._connections.proven_peers
        by_host: Counter[str] = Counter()
        kept = 0

        def rank(one: Connection) -> tuple[bool, float]:
            return (False, one.since_s) if one.peer in proven else (True, -one.since_s)

        for one in sorted(found, key=rank):
            is_late = now_s - one.since_s > PROOF_S or one.received_bytes > UNPROVEN_BYTES_MAX
            if one.peer in misused:
                yield one, "CONNECTION_MISUSED"
            elif one.peer not in proven and is_late:
                yield one, "CONNECTION_UNPROVEN"
            elif by_host[one.whose] >= self._most_per_host or kept >= self._most:
                yield one, "TOO_MANY_CONNECTIONS"
            else:
                by_host[one.whose] += 1
                kept += 1

    def _condemned_local(self, found: Iterator[Connection]) -> Iterator[tuple[Connection, str]]:
        """The oldest stay, and of one user no more than leave the others room."""
        by_user: Counter[str] = Counter()
        kept, most_per_user = 0, max(1, int(USERS_SHARE * self._most))
        for one in sorted(found, key=lambda each: each.since_s):
            if by_user[one.whose] >= most_per_user or kept >= self._most:
                yield one, "TOO_MANY_CONNECTIONS"
            else:
                by_user[one.whose] += 1
                kept += 1
