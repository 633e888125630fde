"""The invariants of a client's subscriptions, in either form of the protocol."""

# ruff: noqa: S101 - assertions are what this module is for

from __future__ import annotations

from collections.abc import Mapping

from weftmesh.router.xds.kinds import Kind
from weftmesh.router.xds.subscription import WILDCARD, Subscription


def check_subscriptions(subscriptions: Mapping[Kind, Subscription]) -> None:
    """Asserts what holds between any two calls."""
    for kind, one in subscriptions.items():
        assert WILDCARD not in one.names, f"{kind.name}: the wildcard is no name"
        assert kind.is_whole or not one.wildcard, f"{kind.name}: cannot be subscribed to as a whole"
        assert all(one.covers(name) for name in one.told), f"{kind.name}: told what it did not ask for"
        assert all(one.covers(name) for name in one.again), f"{kind.name}: to be told what it did not ask for"
