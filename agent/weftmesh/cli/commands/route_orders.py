"""`weftmesh route drain`, `pin`, `freeze`, `mode` and what takes them back: orders that hold on every node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from weftmesh.cli.encoding import to_json
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.session import Session
from weftmesh.core.errors import PreconditionError

if TYPE_CHECKING:
    from weftmesh.client import Client
    from weftmesh.core.routing.model import Override
    from weftmesh.ola.v1 import ola_pb2

C = TypeVar("C", bound=Callable[..., Any])
MODES: Final = ("observe", "suggest", "act")
AGREED: Final = "agreed"

route_argument = click.argument("route")
every_route_argument = click.argument("route", required=False, default="")
endpoint_argument = click.argument("endpoint")


def order_options(function: C) -> C:
    """What every order has: a reason, and a dry run."""
    why = click.option("--why", required=True, help="For the history, and for who looks at the route.")
    return why(dry_run_option(function))


@command(None, "drain")
@route_argument
@endpoint_argument
@order_options
async def drain(session: Session, route: str, endpoint: str, why: str, dry_run: bool) -> None:
    """Send ENDPOINT of ROUTE no new requests, in small steps, until `undrain`.

    The last endpoint that is not drained cannot be.
    """
    async with session.client() as client:
        view = await _check(client, session.timeout_s, route, "drain", endpoint)
        answer = await _set(session, client, dry_run, route=route, kind="drain", endpoint=endpoint, why=why)
    tell(session, answer, dry_run, f"{endpoint} of {route} is drained")
    tell_if_frozen(session, view, route)


@command(None, "undrain")
@route_argument
@endpoint_argument
@order_options
async def undrain(session: Session, route: str, endpoint: str, why: str, dry_run: bool) -> None:
    """Send ENDPOINT of ROUTE requests again."""
    async with session.client() as client:
        answer = await _clear(session, client, dry_run, route=route, kind="drain", endpoint=endpoint, why=why)
    tell(session, answer, dry_run, f"{endpoint} of {route} is not drained")


@command(None, "pin")
@route_argument
@endpoint_argument
@order_options
async def pin(session: Session, route: str, endpoint: str, why: str, dry_run: bool) -> None:
    """Send all requests for ROUTE to ENDPOINT, in small steps, until `unpin`. A pin to another one ends."""
    async with session.client() as client:
        view = await _check(client, session.timeout_s, route, "pin", endpoint)
        others = [one for one in await _pinned(client, session.timeout_s, route) if one != endpoint]
        answer = await _set(session, client, dry_run, route=route, kind="pin", endpoint=endpoint, why=why)
        for one in others:
            await _clear(session, client, dry_run, route=route, kind="pin", endpoint=one, why=why)
    tell(session, answer, dry_run, f"{route} is pinned to {endpoint}")
    tell_if_frozen(session, view, route)


@command(None, "unpin")
@route_argument
@order_options
async def unpin(session: Session, route: str, why: str, dry_run: bool) -> None:
    """Send requests for ROUTE to all of its endpoints again."""
    answer = None
    async with session.client() as client:
        for one in await _pinned(client, session.timeout_s, route):
            answer = await _clear(session, client, dry_run, route=route, kind="pin", endpoint=one, why=why)
    tell(session, answer, dry_run, f"{route} is not pinned")


@command(None, "freeze")
@every_route_argument
@order_options
async def freeze(session: Session, route: str, why: str, dry_run: bool) -> None:
    """Let no weight of ROUTE change on any node, or of any route without ROUTE, until `unfreeze`."""
    async with session.client() as client:
        answer = await _set(session, client, dry_run, route=route, kind="freeze", why=why)
    tell(session, answer, dry_run, f"{route or 'every route'} is frozen")


@command(None, "unfreeze")
@every_route_argument
@order_options
async def unfreeze(session: Session, route: str, why: str, dry_run: bool) -> None:
    """Let weights of ROUTE change again; without ROUTE, end the freeze of every route."""
    async with session.client() as client:
        answer = await _clear(session, client, dry_run, route=route, kind="freeze", why=why)
        frozen = [one.route for one in await _overrides(client, session.timeout_s) if _kind(one) == "freeze"]
    done = f"{route} is not frozen by itself" if route else "the freeze of every route is over"
    tell(session, answer, dry_run, done)
    if route and "" in frozen:
        session.output.note("every route is frozen: `weftmesh route unfreeze` without a route ends that")
    elif not route and any(frozen):
        session.output.note(f"frozen by themselves: {', '.join(sorted(filter(None, frozen)))}")


@command(None, "mode")
@click.argument("mode", metavar="MODE", type=click.Choice([*MODES, AGREED]))
@every_route_argument
@click.option("--all", "everything", is_flag=True, help="Every route, instead of ROUTE.")
@order_options
async def mode(session: Session, mode: str, route: str, everything: bool, why: str, dry_run: bool) -> None:
    """Let routers observe ROUTE, suggest changes or act: MODE is one of these, or agreed.

    This takes the place of the agreement's mode until it is agreed again. What is said for ROUTE comes before what is
    said for every route.
    """
    if bool(route) is everything:
        raise click.UsageError("name a ROUTE, or give --all")
    async with session.client() as client:
        if mode == AGREED:
            answer = await _clear(session, client, dry_run, route=route, kind="mode", why=why)
        else:
            answer = await _set(session, client, dry_run, route=route, kind="mode", why=why, mode=mode)
    wording = "as it was agreed" if mode == AGREED else mode
    tell(session, answer, dry_run, f"the mode of {route or 'every route'} is {wording}")


async def _set(session: Session, client: Client, dry_run: bool, **order: str) -> ola_pb2.ChangeAgreementsResponse:
    from weftmesh.ola.v1 import command_pb2, ola_pb2

    change = command_pb2.SetOverride(**_message(order))
    request = ola_pb2.ChangeAgreementsRequest(set_override=change, validate_only=dry_run)
    return await client.ola.change_agreements(request, timeout_s=session.timeout_s)


async def _clear(session: Session, client: Client, dry_run: bool, **order: str) -> ola_pb2.ChangeAgreementsResponse:
    from weftmesh.ola.v1 import command_pb2, ola_pb2

    change = command_pb2.ClearOverride(**_message(order))
    request = ola_pb2.ChangeAgreementsRequest(clear_override=change, validate_only=dry_run)
    return await client.ola.change_agreements(request, timeout_s=session.timeout_s)


def _message(order: dict[str, str]) -> dict[str, Any]:
    prefixes = {"kind": "OVERRIDE_KIND_", "mode": "ROUTE_MODE_"}
    return {name: prefixes[name] + word.upper() if name in prefixes else word for name, word in order.items()}


async def _check(client: Client, timeout_s: float, route: str, kind: str, endpoint: str) -> ola_pb2.AgreementsView:
    from weftmesh.core.routing.model import Override, OverrideKind

    view = await client.ola.get_agreements(timeout_s=timeout_s)
    check_followable(view, route, Override(OverrideKind(kind), endpoint, "", ""))
    return view


def check_followable(view: ola_pb2.AgreementsView, route: str, order: Override) -> None:
    """Refuse what no router could follow, where it can be seen from here.

    Raises:
        PreconditionError: another order says the opposite, or nothing would be left.
    """
    from weftmesh.client.ola_status import held_agreements
    from weftmesh.core.routing.orders import refusal

    agreements = [one.agreement for one in held_agreements(view) if one.agreement.service == route]
    names = {server.name for one in agreements for server in one.endpoints}
    if {order.endpoint, *(one.endpoint for one in order.shares)} - {""} <= names:  # the node says which there are
        present = [one for one in _present(view, route) if (one.kind, one.endpoint) != (order.kind, order.endpoint)]
        refused = refusal(route, names, tuple(present), order)
        if refused is not None:
            raise PreconditionError(refused.message, reason=refused.refusal.value)


def _present(view: ola_pb2.AgreementsView, route: str) -> Iterator[Override]:
    """The orders for a route that its table would have, but for those for every route."""
    from weftmesh.core.ola.model import WHOLE_PPB
    from weftmesh.core.routing.model import Override, OverrideKind, Share

    kinds = {one.value for one in OverrideKind}
    for one in view.overrides:
        if one.route == route and _kind(one) in kinds:
            yield Override(OverrideKind(_kind(one)), one.endpoint, one.actor, one.why)
    for weights in view.weights:
        if weights.route == route and weights.weights:
            shares = tuple(Share(one.endpoint, one.share_ppb / WHOLE_PPB) for one in weights.weights)
            yield Override(OverrideKind.WEIGH, "", weights.actor, weights.why, shares)


async def _pinned(client: Client, timeout_s: float, route: str) -> list[str]:
    overrides = await _overrides(client, timeout_s)
    return [one.endpoint for one in overrides if one.route == route and _kind(one) == "pin"]


async def _overrides(client: Client, timeout_s: float) -> list[Any]:
    return list((await client.ola.get_agreements(timeout_s=timeout_s)).overrides)


def _kind(override: Any) -> str:
    from weftmesh.cli.encoding import enum_word
    from weftmesh.ola.v1 import command_pb2

    return enum_word(command_pb2.OverrideKind.DESCRIPTOR, override.kind)


def tell_if_frozen(session: Session, view: ola_pb2.AgreementsView, route: str) -> None:
    """Say why an order is not followed yet."""
    if any(_kind(one) == "freeze" and one.route in ("", route) for one in view.overrides):
        session.output.note(f"{route} is frozen: no weight of it moves before `weftmesh route unfreeze`")


def tell(session: Session, answer: ola_pb2.ChangeAgreementsResponse | None, dry_run: bool, done: str) -> None:
    """Say what came of an order; without an answer nothing had to be asked."""
    from weftmesh.core.board.outcomes import OutcomeKind

    changed = answer is not None and answer.kind != OutcomeKind.UNCHANGED
    if session.output.as_json:
        session.output.json({"changed": changed, "dry_run": dry_run, "answer": to_json(answer) if answer else None})
    elif not changed:
        session.output.note(f"nothing was changed: {done} already")
    elif dry_run:
        session.output.note(f"nothing was changed, a dry run; then {done}")
    else:
        session.output.note(done)
