"""Requests that somebody promised to report: until then each counts as held by its endpoint, but not for ever."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

LEASE_S: Final = 60.0
"""A request that was not reported by then is taken for abandoned."""
OPEN_MAX: Final = 100_000
"""Beyond, requests get no ticket."""
EXPIRED_MAX: Final = 2_000
"""At once, in a millisecond or two: a process that stood still for a minute finds all of them run out."""


class Tickets:
    """Open tickets, in the order they were given.

    Args:
        abandon: told of each that ran out: route, endpoint.
    """

    def __init__(self, abandon: Callable[[str, str], None]) -> None:
        self._abandon = abandon
        # To find the first entry of a dict takes as long as there are deleted ones before it.
        self._open: OrderedDict[int, tuple[str, str, float]] = OrderedDict()
        self._latest = 0

    def __len__(self) -> int:
        return len(self._open)

    def give(self, route: str, endpoint: str, now_s: float) -> int:
        """A new ticket; 0 when too many are open."""
        self.expire(now_s)
        if len(self._open) >= OPEN_MAX:
            return 0
        self._latest += 1
        self._open[self._latest] = (route, endpoint, now_s + LEASE_S)
        return self._latest

    def redeem(self, ticket: int, route: str, endpoint: str) -> bool:
        """Take a ticket back; False when it ran out, was redeemed already, or is of another request."""
        found = self._open.get(ticket)
        if found is None or found[:2] != (route, endpoint):
            return False
        del self._open[ticket]
        return True

    def expire(self, now_s: float) -> None:
        """Abandon what ran out, the oldest first; what is beyond EXPIRED_MAX with the next call."""
        for _ in range(min(EXPIRED_MAX, len(self._open))):
            ticket, (route, endpoint, until_s) = next(iter(self._open.items()))
            if until_s > now_s:
                return
            del self._open[ticket]
            self._abandon(route, endpoint)
