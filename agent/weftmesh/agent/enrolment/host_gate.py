"""The enrolment port's gate: whoever calls has no name yet, so what counts is the host that he calls from."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from weftmesh.core.errors import OverloadedError
from weftmesh.runtime.rpc_gate import Context, Ticket

CALLS_PER_HOST_MAX: Final = 4
"""A joiner makes one call. The port takes 16 from all hosts together."""
ARRIVAL_S: Final = 5.0
"""For a request of some 500 bytes to arrive."""


class HostGate:
    """Lets `CALLS_PER_HOST_MAX` calls of a host in at the same time; implements `rpc_gate.Gate`."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()

    def enter(self, method: str, context: Context) -> Ticket:  # noqa: ARG002, the port has one method
        """See rpc_gate.Gate.

        Raises:
            OverloadedError: the host has as many calls under way.
        """
        host = context.peer().rpartition(":")[0]
        if self._calls[host] >= CALLS_PER_HOST_MAX:
            raise OverloadedError("this host has too many calls under way; try again in a moment")
        self._calls[host] += 1

        def leave() -> None:
            self._calls[host] -= 1
            if not self._calls[host]:
                del self._calls[host]

        return Ticket(asyncio.Semaphore(CALLS_PER_HOST_MAX), leave)

    def bloated(self, context: Context) -> None:
        """See rpc_gate.Gate: the call is refused, and that is all."""
