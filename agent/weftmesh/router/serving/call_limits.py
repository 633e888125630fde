"""How much one caller may ask of a router, so that the others are served.

A node is known by its certificate. Programs of this machine are not: gRPC does not say who connected to a local socket,
and a relay that does, as the node has it, would cost each `Resolve` more than its answer. Their connections are counted
by user instead, by the doorkeeper.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import nullcontext
from typing import Final, Protocol, TypeVar

from weftmesh.core.errors import OverloadedError
from weftmesh.core.rate import Buckets, Rate
from weftmesh.runtime.config import RouterLimitsConfig
from weftmesh.runtime.doors.doorkeeper import Connections
from weftmesh.runtime.doors.holdings import CALL, WATCHER, Holdings, too_often
from weftmesh.runtime.doors.refusals import Refusals
from weftmesh.runtime.identity.credentials import peer_node
from weftmesh.runtime.rpc_gate import ARRIVAL_S, Context, Ticket

SECTION: Final = "router"
"""Of the configuration."""
PROGRAMS: Final = "programs of this machine"
DISCOVERY: Final = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
BURST_S: Final = 1.0
"""After a rest a caller may do as much at once as its rate allows in this time."""

RequestT = TypeVar("RequestT")


class Paces(Protocol):
    """Bounds what comes over a stream."""

    def paced(self, requests: AsyncIterator[RequestT], context: Context) -> AsyncGenerator[RequestT, None]:
        """The same requests, no faster than their caller may send them.

        Raises:
            OverloadedError: the first one does not come in time.
        """


class LocalGate:
    """The gate of router.sock; implements `rpc_gate.Gate`. Its calls are short, and it adds next to nothing to them.

    Args:
        refusals: counts.
    """

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._ticket = Ticket(nullcontext(), _nothing)

    def enter(self, method: str, context: Context) -> Ticket:  # noqa: ARG002
        """See rpc_gate.Gate."""
        return self._ticket

    def bloated(self, context: Context) -> None:  # noqa: ARG002
        """See rpc_gate.Gate."""
        self._refusals.count("HEADERS_TOO_LARGE", PROGRAMS)


class CallLimits:
    """The gate of the xDS port and of xds.sock; implements `rpc_gate.Gate` and `Paces`.

    Args:
        limits: the settings.
        cluster: whose certificates count; None where no port is served.
        connections: is told who proved itself, and who misuses its connection.
        refusals: counts.
        clock: monotonic seconds.
        arrival_s: how long a stream may take to say what it wants.
    """

    def __init__(
        self,
        limits: RouterLimitsConfig,
        cluster: str | None,
        connections: Connections,
        refusals: Refusals,
        clock: Callable[[], float],
        arrival_s: float = ARRIVAL_S,
    ) -> None:
        self._cluster = cluster
        self._connections = connections
        self._refusals = refusals
        self._clock = clock
        self._arrival_s = arrival_s
        self._calls, self._requests = (
            Buckets(Rate(per_s, max(1.0, per_s * BURST_S)))
            for per_s in (limits.member_calls_per_s, limits.writes_per_s)
        )
        self._holdings = Holdings({CALL: limits.calls_per_caller, WATCHER: limits.watchers_per_caller})
        self._watchers_max = limits.watchers
        self._open: Counter[bool] = Counter()
        """Streams of all callers: those that follow tables, and the others, which report."""

    def enter(self, method: str, context: Context) -> Ticket:
        """See rpc_gate.Gate.

        Raises:
            OverloadedError: the caller asks too much, or all together do.
        """
        caller, follows = self._caller(context), method.startswith(DISCOVERY)
        if caller is not None:
            self._connections.proven(context.peer())
        try:
            held = self._ticket(caller, follows)
        except OverloadedError as error:
            self._refusals.count(error.reason, caller or PROGRAMS)
            if caller is not None:
                self._connections.strike(context.peer())
            raise
        self._open[follows] += 1

        def leave() -> None:
            held.leave()
            self._open[follows] -= 1

        return Ticket(held.arriving, leave)

    def bloated(self, context: Context) -> None:
        """See rpc_gate.Gate: no client sends such headers, so the connection goes with the call."""
        peer = context.peer()
        self._refusals.count("HEADERS_TOO_LARGE", peer)
        if not peer.startswith("unix:"):
            self._connections.misused(peer)

    async def paced(self, requests: AsyncIterator[RequestT], context: Context) -> AsyncGenerator[RequestT, None]:
        """See Paces. What comes too fast is read later, and lost never: xDS knows no refusal of one request."""
        whose = self._caller(context) or PROGRAMS
        try:
            async with asyncio.timeout(self._arrival_s):
                first = await anext(requests)
        except StopAsyncIteration:
            return
        except TimeoutError:
            late = f"nothing was asked for within {self._arrival_s:g} s; call again when there is something to ask for"
            raise OverloadedError(late, reason="REQUEST_TOO_SLOW") from None
        yield first
        async for request in requests:
            while wait_s := self._requests.take(whose, self._clock()):  # noqa: ASYNC110, time is what it waits for
                await asyncio.sleep(wait_s)
            yield request

    def _caller(self, context: Context) -> str | None:
        """Whose call it is; None for a program of this machine."""
        if self._cluster is None or context.peer().startswith("unix:"):
            return None
        node = peer_node(context.auth_context(), self._cluster)
        return f"node {node}" if node is not None else "a stranger"

    def _ticket(self, caller: str | None, follows: bool) -> Ticket:
        if self._open[follows] >= self._watchers_max:
            raise OverloadedError(
                f"{self._watchers_max} clients {'follow' if follows else 'report to'} this router already; end some, "
                f"or raise watchers in [{SECTION}]",
                reason=WATCHER.reason,
            )
        if caller is None:
            return Ticket(nullcontext(), _nothing)
        if wait_s := self._calls.take(caller, self._clock()):
            raise too_often(caller, "calls", self._calls.rate, wait_s, SECTION)
        return self._holdings.take(caller, (CALL, WATCHER) if follows else (CALL,))


def _nothing() -> None:
    """What a call that is not counted leaves behind."""
