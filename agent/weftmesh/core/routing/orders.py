"""Orders of operators: which may stand beside which."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Final

from weftmesh.core.routing.events import Outcome, OutcomeKind, Refusal
from weftmesh.core.routing.model import Override, OverrideKind
from weftmesh.core.routing.steps import Steps

SUM_ERROR: Final = 1e-6
"""Ordered shares sum to 1 but for so much."""
_OF_ROUTE: Final = frozenset({OverrideKind.FREEZE, OverrideKind.WEIGH})
_SINGLE: Final = frozenset({OverrideKind.PIN, *_OF_ROUTE})


def refusal(route: str, names: Collection[str], present: tuple[Override, ...], new: Override) -> Outcome | None:
    """Why a new order cannot be followed; None when it can.

    Args:
        route: its name, for the message.
        names: of the route's endpoints.
        present: the orders in force.
        new: the order.
    """
    if new.kind in _OF_ROUTE:
        if new.endpoint:
            return _refused(
                Refusal.INVALID,
                f"a {new.kind.value} order is for all of route {route}; leave out {new.endpoint[:80]!r}",
            )
        return _shares_refusal(route, names, present, new) if new.kind is OverrideKind.WEIGH else None
    if new.endpoint not in names:
        return _refused(
            Refusal.NO_SUCH_ENDPOINT, f"route {route} has no endpoint {new.endpoint[:80]!r}; `route table` lists them"
        )
    drained = {one.endpoint for one in present if one.kind is OverrideKind.DRAIN}
    if new.kind is OverrideKind.DRAIN:
        return _drain_refusal(route, set(names) - drained, present, new.endpoint)
    if new.endpoint in drained:
        return _refused(
            Refusal.CONTRADICTION, f"{new.endpoint} of route {route} is drained; clear that before you pin to it"
        )
    return None


def added(present: tuple[Override, ...], new: Override) -> tuple[Override, ...]:
    """The orders with a new one. There is one drain for an endpoint, and one order of each other kind at a time."""
    single = new.kind in _SINGLE
    left = [one for one in present if one.kind is not new.kind or (not single and one.endpoint != new.endpoint)]
    return (*left, new)


def followed(route: str, names: Collection[str], wanted: Sequence[Override]) -> Steps[tuple[Override, ...]]:
    """Of these orders, one after the other, those that can be followed."""
    present: tuple[Override, ...] = ()
    for one in wanted:
        yield
        if refusal(route, names, present, one) is None:
            present = added(present, one)
    return present


def surviving(present: tuple[Override, ...], names: Collection[str]) -> tuple[Override, ...]:
    """The orders that still mean something.

    Those for endpoints that are gone do not, nor drains of all that are left, nor shares of none that is left open.
    """
    left = tuple(one for one in present if one.kind in _OF_ROUTE or one.endpoint in names)
    drained = {one.endpoint for one in left if one.kind is OverrideKind.DRAIN}
    if drained >= set(names):
        left, drained = tuple(one for one in left if one.kind is not OverrideKind.DRAIN), set()
    if not _followable(left, set(names) - drained):
        left = tuple(one for one in left if one.kind is not OverrideKind.WEIGH)
    return left


def _drain_refusal(route: str, open_names: set[str], present: Sequence[Override], endpoint: str) -> Outcome | None:
    if any(one.kind is OverrideKind.PIN and one.endpoint == endpoint for one in present):
        return _refused(Refusal.CONTRADICTION, f"route {route} is pinned to {endpoint}; clear that before you drain it")
    if not open_names - {endpoint}:
        return _refused(
            Refusal.LAST_ENDPOINT,
            f"{endpoint} is the last endpoint of route {route} that is not drained; clear another drain first",
        )
    if not _followable(present, open_names - {endpoint}):
        return _refused(
            Refusal.LAST_ENDPOINT,
            f"{endpoint} is the last endpoint of route {route} with an ordered share that is not drained; order other "
            "shares, or take them back, first",
        )
    return None


def _shares_refusal(route: str, names: Collection[str], present: Sequence[Override], new: Override) -> Outcome | None:
    shares = [one.share for one in new.shares]
    twice = len({one.endpoint for one in new.shares}) < len(shares)
    if twice or not all(0.0 <= one <= 1.0 for one in shares) or abs(math.fsum(shares) - 1.0) > SUM_ERROR:
        return _refused(
            Refusal.INVALID, f"route {route}: give each endpoint one share from 0 to 1, together 1, not {shares[:20]}"
        )
    if not _followable([new], set(names) - {one.endpoint for one in present if one.kind is OverrideKind.DRAIN}):
        return _refused(
            Refusal.CONTRADICTION,
            f"route {route}: no endpoint with an ordered share is there and not drained; give another one a share, or "
            "clear a drain",
        )
    return None


def _followable(orders: Sequence[Override], open_names: Collection[str]) -> bool:
    """Whether shares, where any are ordered, leave an endpoint that is open something."""
    weighed = next((one for one in orders if one.kind is OverrideKind.WEIGH), None)
    return weighed is None or any(one.share > 0.0 and one.endpoint in open_names for one in weighed.shares)


def _refused(why: Refusal, message: str) -> Outcome:
    return Outcome(OutcomeKind.REFUSED, message, why)
