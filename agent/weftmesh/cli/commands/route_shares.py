"""`weftmesh route weigh` and `unweigh`: shares of a route's requests that an operator orders, such as of a canary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import click

from weftmesh.cli.commands.route_orders import check_followable, order_options, route_argument, tell, tell_if_frozen
from weftmesh.cli.options import command
from weftmesh.cli.session import Session
from weftmesh.core.ola.model import WHOLE_PPB

if TYPE_CHECKING:
    from weftmesh.client import Client
    from weftmesh.core.routing.model import Override
    from weftmesh.ola.v1 import ola_pb2


@command(None, "weigh")
@route_argument
@click.argument("shares", nargs=-1, required=True, metavar="ENDPOINT=PERCENT...")
@order_options
async def weigh(session: Session, route: str, shares: tuple[str, ...], why: str, dry_run: bool) -> None:
    """Send each endpoint of ROUTE its share of requests, until `unweigh`.

    Name each endpoint of ROUTE once; percents add up to 100. The others get the share of an endpoint that is ejected or
    drained; one with 0 gets nothing. A pin and a freeze come first.
    """
    parts = parts_of(shares)
    async with session.client() as client:
        view = await client.ola.get_agreements(timeout_s=session.timeout_s)
        check_followable(view, route, _order(parts))
        answer = await _set(session, client, view, route, parts, why, dry_run)
    told = ", ".join(f"{endpoint} {_percent(one)} %" for endpoint, one in parts.items())
    tell(session, answer, dry_run, f"the shares of {route} are {told}")
    tell_if_frozen(session, view, route)


@command(None, "unweigh")
@route_argument
@order_options
async def unweigh(session: Session, route: str, why: str, dry_run: bool) -> None:
    """Let shares of ROUTE follow what its endpoints can serve again."""
    async with session.client() as client:
        view = await client.ola.get_agreements(timeout_s=session.timeout_s)
        answer = await _set(session, client, view, route, {}, why, dry_run)
    tell(session, answer, dry_run, f"no shares of {route} are ordered")


def parts_of(shares: Iterable[str]) -> dict[str, int]:
    """Each endpoint's share in parts per billion, from texts such as pay-2=5.

    Raises:
        click.UsageError: a text is none, an endpoint has two, or they do not add up to 100 %.
    """
    found: dict[str, int] = {}
    for text in shares:
        endpoint, _, percent = text.rpartition("=")
        if endpoint in found:
            raise click.UsageError(f"{endpoint} has two shares; name each endpoint once")
        try:
            parts = Decimal(percent) * WHOLE_PPB / 100
        except InvalidOperation:
            parts = Decimal("NaN")
        if not endpoint or not parts.is_finite() or not 0 <= parts <= WHOLE_PPB:
            raise click.UsageError(f"{text!r} is no ENDPOINT=PERCENT, such as pay-2=5")
        if parts != int(parts):
            raise click.UsageError(f"{text!r}: give at most seven digits after the point")
        found[endpoint] = int(parts)
    total = sum(found.values())
    if total != WHOLE_PPB:
        raise click.UsageError(f"the percents add up to {_percent(total)}, not to 100")
    return found


def _percent(parts: int) -> str:
    return f"{(Decimal(parts) * 100 / WHOLE_PPB).normalize():f}"


def _order(parts: Mapping[str, int]) -> Override:
    from weftmesh.core.routing.model import Override, OverrideKind, Share

    shares = tuple(Share(endpoint, one / WHOLE_PPB) for endpoint, one in parts.items())
    return Override(OverrideKind.WEIGH, "", "", "", shares)


async def _set(
    session: Session,
    client: Client,
    view: ola_pb2.AgreementsView,
    route: str,
    parts: Mapping[str, int],
    why: str,
    dry_run: bool,
) -> ola_pb2.ChangeAgreementsResponse:
    """Order shares in place of those in the view, and of no others."""
    from weftmesh.ola.v1 import command_pb2, ola_pb2

    seen = next((one.generation for one in view.weights if one.route == route), 0)
    change = command_pb2.SetWeights(route=route, seen=seen, why=why)
    for endpoint, one in parts.items():
        change.weights.add(endpoint=endpoint, share_ppb=one)
    request = ola_pb2.ChangeAgreementsRequest(set_weights=change, validate_only=dry_run)
    return await client.ola.change_agreements(request, timeout_s=session.timeout_s)
