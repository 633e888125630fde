"""What operators do to routes, and weights for slow effects."""

from __future__ import annotations

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import quoted
from weftmesh.core.ola.model import WHOLE_PPB, RouteMode
from weftmesh.core.ola.replicated.commands import ClearOverride, SetOverride, SetWeights
from weftmesh.core.ola.replicated.outcomes import Reason, Verb
from weftmesh.core.ola.replicated.plans import Change, Happening, Plan, Refusal, Unchanged, invalid
from weftmesh.core.ola.replicated.rows import EndpointWeight, Limits, Override, OverrideKind, SlowWeights
from weftmesh.core.ola.replicated.store import Store
from weftmesh.core.ola.replicated.validate import note

_OF_ENDPOINTS = frozenset({OverrideKind.DRAIN, OverrideKind.PIN})


def plan_set_override(store: Store, command: SetOverride) -> Plan:
    """An override, in place of the same one before."""
    why = note(command.why)
    if command.kind in _OF_ENDPOINTS:
        _check_endpoint(store, command.route, command.endpoint)
    elif command.endpoint:
        raise invalid(f"endpoint: a {command.kind.name.lower()} is of a route; leave it out")
    elif command.route:
        _endpoints(store, command.route)
    mode = command.mode if command.kind is OverrideKind.MODE else RouteMode.OBSERVE
    before = store.overrides.get((command.route, command.kind, command.endpoint))
    if before is not None and (before.mode, before.why) == (mode, why):
        return Unchanged(command.route)
    if before is None and len(store.overrides) >= Limits.OVERRIDES:
        raise Refusal(Reason.LIMIT_REACHED, f"there are {Limits.OVERRIDES} overrides already; take some of them back")
    header = command.header
    row = Override(command.route, command.kind, command.endpoint, mode, why, header.actor, header.stamp)
    text = f"{_what(row)}: {why}"
    return Change(command.route, (row,), happenings=(Happening(Verb.OVERRIDE_SET, command.route, note=text),))


def plan_clear_override(store: Store, command: ClearOverride) -> Plan:
    """One override less. Its route or endpoint may be gone meanwhile."""
    why = note(command.why)
    row = store.overrides.get((command.route, command.kind, command.endpoint))
    if row is None:
        return Unchanged(command.route)
    text = f"{_what(row)}: {why}"
    happening = Happening(Verb.OVERRIDE_CLEARED, command.route, note=text)
    return Change(command.route, gone=(row,), happenings=(happening,))


def plan_set_weights(store: Store, command: SetWeights) -> Plan:
    """A route's weights, one generation on. What was taken back leaves its generation, so that none is used twice."""
    why = note(command.why)
    known = _endpoints(store, command.route)
    before = store.weights.get(command.route)
    present = 0 if before is None else before.generation
    if command.seen != present:
        raise Refusal(
            Reason.GENERATION_CONFLICT,
            f"the weights of {command.route} are at generation {present}, not {command.seen}; read them and decide",
            OutcomeKind.COLLISION,
            current_version=present,
        )
    weights = tuple(sorted(command.weights, key=_endpoint))
    _check_weights(weights, known, command.inputs)
    if not weights and (before is None or not before.weights):
        return Unchanged(command.route, present)
    header = command.header
    row = SlowWeights(command.route, present + 1, weights, why, command.inputs, header.actor, header.stamp)
    text = why if weights else f"taken back: {why}"
    happening = Happening(Verb.WEIGHTS_SET, command.route, row.generation, text)
    return Change(command.route, (row,), happenings=(happening,), current_version=row.generation)


def _check_weights(weights: tuple[EndpointWeight, ...], known: set[str], inputs: bytes) -> None:
    names = [one.endpoint for one in weights]
    if strange := set(names) - known:
        raise invalid(f"weights: the route has no endpoint {quoted(min(strange))}; it has {_some(known)}")
    if len(set(names)) < len(names):
        raise invalid("weights: an endpoint occurs twice; send each of them once")
    if weights and (missing := known - set(names)):
        raise invalid(f"weights: {_some(missing)} of the route is left out; send each endpoint once, with 0 for none")
    if weights and (any(one.share_ppb < 0 for one in weights) or sum([one.share_ppb for one in weights]) != WHOLE_PPB):
        raise invalid(f"weights: they do not add up to {WHOLE_PPB} parts per billion")
    if len(inputs) > Limits.INPUTS_BYTES:
        raise invalid(f"inputs: has {len(inputs)} bytes, the limit is {Limits.INPUTS_BYTES}")


def _check_endpoint(store: Store, route: str, endpoint: str) -> None:
    known = _endpoints(store, route)
    if endpoint not in known:
        raise Refusal(
            Reason.NO_SUCH_ENDPOINT,
            f"route {route} has no endpoint {quoted(endpoint)}; it has {_some(known)}",
            OutcomeKind.NOT_FOUND,
        )


def _endpoints(store: Store, route: str) -> set[str]:
    """The endpoints of a route that is in force: those of all agreements about its service."""
    agreements = [one.agreement for one in store.all_in_force() if one.agreement.service == route]
    if not agreements:
        known = ", ".join(sorted({one.agreement.service for one in store.all_in_force()})[:20]) or "none yet"
        raise Refusal(
            Reason.NO_SUCH_ROUTE,
            f"no agreement in force is about service {quoted(route)}; known: {known}",
            OutcomeKind.NOT_FOUND,
        )
    return {endpoint.name for one in agreements for endpoint in one.endpoints}


def _some(names: set[str]) -> str:
    """For people."""
    return ", ".join(sorted(names)[:20]) or "none"


def _endpoint(one: EndpointWeight) -> str:
    return one.endpoint


def _what(row: Override) -> str:
    on = f" {row.endpoint}" if row.endpoint else f" {row.mode.name.lower()}" if row.kind is OverrideKind.MODE else ""
    return f"{row.kind.name.lower()}{on}"
