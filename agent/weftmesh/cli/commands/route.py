"""`weftmesh route`: the list of its commands."""

from __future__ import annotations

import click

from weftmesh.cli.lazy import Lazy, LazyGroup

ROUTE_COMMANDS = {
    "table": Lazy("weftmesh.cli.commands.route_read:table", "The tables of this node's router."),
    "explain": Lazy("weftmesh.cli.commands.route_read:explain", "Why a route's table is what it is."),
    "drain": Lazy("weftmesh.cli.commands.route_orders:drain", "Send an endpoint no new requests."),
    "undrain": Lazy("weftmesh.cli.commands.route_orders:undrain", "Take a drain back."),
    "pin": Lazy("weftmesh.cli.commands.route_orders:pin", "Send an endpoint all requests."),
    "unpin": Lazy("weftmesh.cli.commands.route_orders:unpin", "Take a pin back."),
    "weigh": Lazy("weftmesh.cli.commands.route_shares:weigh", "Send endpoints ordered shares, such as a canary's."),
    "unweigh": Lazy("weftmesh.cli.commands.route_shares:unweigh", "Take ordered shares back."),
    "freeze": Lazy("weftmesh.cli.commands.route_orders:freeze", "Let no weight change, whatever happens."),
    "unfreeze": Lazy("weftmesh.cli.commands.route_orders:unfreeze", "Take a freeze back."),
    "mode": Lazy("weftmesh.cli.commands.route_orders:mode", "How far routers go by themselves."),
    "bootstrap": Lazy("weftmesh.cli.commands.route_bootstrap:bootstrap", "What gRPC clients and Envoy need to follow."),
    "replay": Lazy("weftmesh.cli.commands.route_replay:replay", "What another policy would have decided."),
}


@click.group(cls=LazyGroup, lazy=ROUTE_COMMANDS)
def route() -> None:
    """Where requests go, and why. Orders hold on every node."""
