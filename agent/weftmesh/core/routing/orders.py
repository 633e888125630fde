"""Orders of operators: which may stand beside which."""

from __future__ import annotations

from collections.abc import Collection

from weftmesh.core.routing.events import Outcome, OutcomeKind, Refusal
from weftmesh.core.routing.model import Override, OverrideKind


def refusal(route: str, names: Collection[str], present: tuple[Override, ...], new: Override) -> Outcome | None:
    """Why a new order cannot be followed; None when it can.

    Args:
        route: its name, for the message.
        names: of the route's endpoints.
        present: the orders in force.
        new: the order.
    """
    if new.kind is OverrideKind.FREEZE:
        if new.endpoint:
            return _refused(Refusal.INVALID, f"a freeze is for all of route {route}; leave out {new.endpoint[:80]!r}")
        return None
    if new.endpoint not in names:
        return _refused(
            Refusal.NO_SUCH_ENDPOINT, f"route {route} has no endpoint {new.endpoint[:80]!r}; `route table` lists them"
        )
    drained = {one.endpoint for one in present if one.kind is OverrideKind.DRAIN}
    pinned = {one.endpoint for one in present if one.kind is OverrideKind.PIN}
    if new.kind is OverrideKind.PIN and new.endpoint in drained:
        return _refused(
            Refusal.CONTRADICTION, f"{new.endpoint} of route {route} is drained; clear that before you pin to it"
        )
    if new.kind is OverrideKind.DRAIN and new.endpoint in pinned:
        return _refused(
            Refusal.CONTRADICTION, f"route {route} is pinned to {new.endpoint}; clear that before you drain it"
        )
    if new.kind is OverrideKind.DRAIN and not set(names) - drained - {new.endpoint}:
        return _refused(
            Refusal.LAST_ENDPOINT,
            f"{new.endpoint} is the last endpoint of route {route} that is not drained; clear another drain first",
        )
    return None


def added(present: tuple[Override, ...], new: Override) -> tuple[Override, ...]:
    """The orders with a new one. There is one pin and one freeze at a time, and one drain for an endpoint."""
    single = new.kind in (OverrideKind.PIN, OverrideKind.FREEZE)
    left = [one for one in present if one.kind is not new.kind or (not single and one.endpoint != new.endpoint)]
    return (*left, new)


def surviving(present: tuple[Override, ...], names: Collection[str]) -> tuple[Override, ...]:
    """The orders that still mean something: not those for endpoints that are gone, nor drains of all that are left."""
    left = tuple(one for one in present if one.kind is OverrideKind.FREEZE or one.endpoint in names)
    if {one.endpoint for one in left if one.kind is OverrideKind.DRAIN} >= set(names):
        return tuple(one for one in left if one.kind is not OverrideKind.DRAIN)
    return left


def _refused(why: Refusal, message: str) -> Outcome:
    return Outcome(OutcomeKind.REFUSED, message, why)
