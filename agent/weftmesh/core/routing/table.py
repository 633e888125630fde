"""The table machine: for each route weights, conditions and reasons; events and time in, outcomes and effects out.

It never raises for an event: what cannot be is refused with an outcome. Time is seconds in any one clock; where it runs
backwards, the newest time goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from weftmesh.core.routing import orders
from weftmesh.core.routing.checking import check_rows
from weftmesh.core.routing.deciding import Policy, decide
from weftmesh.core.routing.ejecting import EJECTIONS_MAX
from weftmesh.core.routing.evaluating import evaluate
from weftmesh.core.routing.events import (
    ClearOverride,
    Effect,
    Event,
    Observe,
    Outcome,
    OutcomeKind,
    Refusal,
    RemoveRoute,
    RestoreRoute,
    SetMode,
    SetOverride,
    SetRoute,
    TableChanged,
    Wake,
)
from weftmesh.core.routing.model import (
    ENDPOINTS_MAX,
    Decision,
    Inputs,
    Reading,
    Row,
    Settings,
)
from weftmesh.core.routing.route import Route
from weftmesh.core.routing.story import TimeText, in_seconds, route_story

ROUTES_MAX: Final = 10_000
ROWS_KEPT: Final = 2_048
"""In all decisions of a route together: a row and its reading take half a kilobyte."""
ROWS_KEPT_IN_ALL: Final = 65_536
"""Of a node with many routes, each has its part of so many."""
_UNCHANGED: Final = Outcome(OutcomeKind.UNCHANGED)
_APPLIED: Final = Outcome(OutcomeKind.APPLIED)
Answer = tuple[Outcome, tuple[Effect, ...]]


class RoutingTable:
    """Every route of this node. Not safe for concurrent use; what it hands out is immutable.

    Args:
        policy: computes tables; another one than `decide` is for comparisons.
    """

    def __init__(self, policy: Policy = decide) -> None:
        self._policy = policy
        self._routes: dict[str, Route] = {}
        self._now_s = -math.inf
        self._handlers: Mapping[type, Callable[..., Answer]] = {
            RemoveRoute: self._remove,
            RestoreRoute: self._restore,
            SetRoute: self._set_route,
            Observe: self._observe,
            SetMode: self._set_mode,
            SetOverride: self._set_override,
            ClearOverride: self._clear_override,
            Wake: self._wake,
        }

    # Verbs

    def apply(self, event: Event, now_s: float) -> Answer:
        """Take an event in; the effects are to be carried out in their order."""
        self._now_s = max(self._now_s, now_s)
        if not isinstance(event, SetRoute | RestoreRoute | Wake) and event.route not in self._routes:
            return _refused(
                Refusal.NO_SUCH_ROUTE, f"there is no route {event.route[:80]!r} on this node; `route table` lists them"
            )
        return self._handlers[type(event)](event)

    def next_deadline(self) -> float | None:
        """When to apply `Wake`, at the latest; None while nothing is under way."""
        return min((one.deadline_s for one in self._routes.values() if one.deadline_s is not None), default=None)

    def check(self) -> None:
        """Asserts every invariant."""
        for one in self._routes.values():
            check_rows(one.endpoints, one.settings, one.rows)
            check_rows(one.endpoints, one.settings, one.proposed)

    def story(self, route: str, time_text: TimeText = in_seconds) -> str:
        """What happened to a route, for people."""
        one = self._routes.get(route)
        if one is None:
            return f"{route}: no such route"
        return route_story(one.name, one.mode, one.overrides, one.rows, one.decisions, time_text)

    # Reading

    def routes(self) -> tuple[str, ...]:
        """Names, sorted."""
        return tuple(sorted(self._routes))

    def rows(self, route: str) -> tuple[Row, ...]:
        """The table in force; empty for a route that is not there."""
        one = self._routes.get(route)
        return one.rows if one is not None else ()

    def version(self, route: str) -> int:
        """How often the table in force changed; 0 for a route that is not there."""
        one = self._routes.get(route)
        return one.version if one is not None else 0

    def decisions(self, route: str) -> tuple[Decision, ...]:
        """The latest decisions, oldest first."""
        one = self._routes.get(route)
        return tuple(one.decisions) if one is not None else ()

    def proposed(self, route: str) -> tuple[Row, ...]:
        """What the latest decision computed, in force or not; empty for a route that is not there."""
        one = self._routes.get(route)
        return one.proposed if one is not None else ()

    def decided(self, route: str) -> int:
        """The number of the latest decision; 0 for a route that is not there."""
        one = self._routes.get(route)
        return one.decided if one is not None else 0

    def inputs(self, route: str) -> Inputs | None:
        """What the next decision is computed from, as things stand; None for a route that is not there."""
        one = self._routes.get(route)
        return one.inputs(self._now_s) if one is not None else None

    # Events

    def _restore(self, event: RestoreRoute) -> Answer:
        try:
            check_rows(event.endpoints, event.settings, event.rows)
        except AssertionError as error:
            return _refused(Refusal.INVALID, f"route {event.route}: what was kept of it is no table: {error}")
        if event.route in self._routes or len(self._routes) >= ROUTES_MAX or not event.rows:
            return _refused(Refusal.INVALID, f"route {event.route} is there already, or empty; nothing is restored")
        rows = tuple(_not_after(row, self._now_s, event.settings) for row in event.rows)
        self._routes[event.route] = Route(
            event.route,
            event.endpoints,
            event.settings,
            event.mode,
            event.overrides,
            rows=rows,
            version=event.version,
            decided=event.decided,
            proposed=rows,
            deadline_s=self._now_s,
        )
        return _APPLIED, (TableChanged(event.route, event.version, rows),)

    def _set_route(self, event: SetRoute) -> Answer:
        names = [one.name for one in event.endpoints]
        if len(set(names)) != len(names) or not 0 < len(names) <= ENDPOINTS_MAX:
            return _refused(
                Refusal.INVALID,
                f"route {event.route}: {len(names)} endpoints with {len(set(names))} names; give 1 to "
                f"{ENDPOINTS_MAX} endpoints with a name of their own each",
            )
        wrong = next((one for one in event.endpoints if not 0.0 < one.capacity < math.inf), None)
        if wrong is not None:
            return _refused(
                Refusal.INVALID, f"route {event.route}, endpoint {wrong.name}: capacity {wrong.capacity} is not above 0"
            )
        route = self._routes.get(event.route)
        if route is None:
            if len(self._routes) >= ROUTES_MAX:
                return _refused(Refusal.LIMIT_REACHED, f"this node has {ROUTES_MAX} routes; remove one first")
            begun = orders.followed(event.route, names, event.overrides)
            route = Route(event.route, event.endpoints, event.settings, event.mode, begun)
            self._routes[event.route] = route
        elif (route.endpoints, route.settings) == (event.endpoints, event.settings):
            return _UNCHANGED, ()
        route.endpoints, route.settings = event.endpoints, event.settings
        route.readings = {name: one for name, one in route.readings.items() if name in names}
        route.overrides = orders.surviving(route.overrides, names)
        return _APPLIED, self._evaluate(route, rows_must_change=True)

    def _remove(self, event: RemoveRoute) -> Answer:
        del self._routes[event.route]
        return _APPLIED, (TableChanged(event.route, 0, ()),)

    def _observe(self, event: Observe) -> Answer:
        route = self._routes[event.route]
        names = {one.name for one in route.endpoints}
        route.readings.update({one.endpoint: one for one in event.readings if one.endpoint in names and _sane(one)})
        return _APPLIED, self._evaluate(route)

    def _set_mode(self, event: SetMode) -> Answer:
        route = self._routes[event.route]
        if route.mode is event.mode:
            return _UNCHANGED, ()
        route.mode = event.mode
        return _APPLIED, self._evaluate(route)

    def _set_override(self, event: SetOverride) -> Answer:
        route = self._routes[event.route]
        refused = orders.refusal(route.name, [one.name for one in route.endpoints], route.overrides, event.override)
        if refused is not None:
            return refused, ()
        route.overrides = orders.added(route.overrides, event.override)
        return _APPLIED, self._evaluate(route)

    def _clear_override(self, event: ClearOverride) -> Answer:
        route = self._routes[event.route]
        left = tuple(one for one in route.overrides if (one.kind, one.endpoint) != (event.kind, event.endpoint))
        if left == route.overrides:
            what = f"{event.kind.value} {event.endpoint}".strip()
            return _refused(
                Refusal.NO_SUCH_OVERRIDE, f"route {route.name} has no order {what!r}; `route explain` lists its orders"
            )
        route.overrides = left
        return _APPLIED, self._evaluate(route)

    def _wake(self, event: Wake) -> Answer:
        del event
        due = [one for one in self._routes.values() if one.deadline_s is not None and one.deadline_s <= self._now_s]
        return _APPLIED if due else _UNCHANGED, tuple(effect for one in due for effect in self._evaluate(one))

    # Decisions

    def _evaluate(self, route: Route, *, rows_must_change: bool = False) -> tuple[Effect, ...]:
        rows_kept = min(ROWS_KEPT, ROWS_KEPT_IN_ALL // len(self._routes))
        return evaluate(route, self._policy, self._now_s, rows_kept, rows_must_change=rows_must_change)


def _not_after(row: Row, now_s: float, settings: Settings) -> Row:
    """The row without times to come, such as a clock that was set back leaves; an ejection ends as it would have."""
    since_s, moved_s = min(row.since_s, now_s), min(row.moved_s, now_s)
    until_s = min(row.until_s, since_s + EJECTIONS_MAX * settings.ejection_s)
    return replace(row, since_s=since_s, until_s=until_s, moved_s=moved_s, turned_s=min(row.turned_s, moved_s))


def _sane(reading: Reading) -> bool:
    numbers = (reading.service_s, reading.rtt_s, reading.bad_lower, reading.in_flight, reading.samples)
    return all(math.isfinite(one) and one >= 0.0 for one in numbers) and reading.bad_lower <= 1.0


def _refused(refusal: Refusal, message: str) -> Answer:
    return Outcome(OutcomeKind.REFUSED, message, refusal), ()
