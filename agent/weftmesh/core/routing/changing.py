"""Events that are taken in by one route: its next state is made beside the one that callers see, and in steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from weftmesh.core.routing import orders
from weftmesh.core.routing.checking import check_rows
from weftmesh.core.routing.ejecting import EJECTIONS_MAX
from weftmesh.core.routing.evaluating import evaluate
from weftmesh.core.routing.events import (
    ClearOverride,
    Effect,
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
)
from weftmesh.core.routing.model import ENDPOINTS_MAX, Reading, Row, Settings
from weftmesh.core.routing.route import Route
from weftmesh.core.routing.steps import Steps

ROUTES_MAX: Final = 10_000
ROWS_KEPT: Final = 2_048
"""In all decisions of a route together: a row and its reading take half a kilobyte."""
ROWS_KEPT_IN_ALL: Final = 65_536
"""Of a node with many routes, each has its part of so many."""
Answer: TypeAlias = tuple[Outcome, tuple[Effect, ...]]
OfRoute: TypeAlias = SetRoute | RestoreRoute | RemoveRoute | Observe | SetMode | SetOverride | ClearOverride
_UNCHANGED: Final = Outcome(OutcomeKind.UNCHANGED)
_APPLIED: Final = Outcome(OutcomeKind.APPLIED)


class Changing:
    """A route on its way to its next state.

    Args:
        route: a draft of its own, which is changed; None for a route that is not there.
        now_s: the time of the events.
        others: how many other routes there are.

    Attributes:
        route: what became of it; None for a route that is not there, or no longer.
    """

    def __init__(self, route: Route | None, now_s: float, others: int) -> None:
        self.route = route
        self._now_s = now_s
        self._others = others
        self._handlers: Mapping[type, Callable[..., Steps[Answer]]] = {
            Observe: self._observe,
            SetMode: self._set_mode,
            SetOverride: self._set_override,
            ClearOverride: self._clear_override,
        }

    def take(self, event: OfRoute) -> Steps[Answer]:
        """Take an event in; the effects are to be carried out in their order."""
        if isinstance(event, SetRoute):
            return (yield from self._set_route(event))
        if isinstance(event, RestoreRoute):
            return self._restore(event)
        if self.route is None:
            return _refused(
                Refusal.NO_SUCH_ROUTE, f"there is no route {event.route[:80]!r} on this node; `route table` lists them"
            )
        if isinstance(event, RemoveRoute):
            self.route = None
            return _APPLIED, (TableChanged(event.route, 0, ()),)
        return (yield from self._handlers[type(event)](self.route, event))

    def evaluate(self, route: Route, *, rows_must_change: bool = False) -> Steps[tuple[Effect, ...]]:
        """Decide anew, as things stand."""
        rows_kept = min(ROWS_KEPT, ROWS_KEPT_IN_ALL // (self._others + 1))
        return evaluate(route, self._now_s, rows_kept, rows_must_change=rows_must_change)

    def _restore(self, event: RestoreRoute) -> Answer:
        try:
            check_rows(event.endpoints, event.settings, event.rows)
        except AssertionError as error:
            return _refused(Refusal.INVALID, f"route {event.route}: what was kept of it is no table: {error}")
        if self.route is not None or self._others >= ROUTES_MAX or not event.rows:
            return _refused(Refusal.INVALID, f"route {event.route} is there already, or empty; nothing is restored")
        rows = tuple(_not_after(row, self._now_s, event.settings) for row in event.rows)
        self.route = Route(
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

    def _set_route(self, event: SetRoute) -> Steps[Answer]:
        names = {one.name for one in event.endpoints}
        if (refused := _wrong_endpoints(event, len(names))) is not None:
            return refused
        if self.route is None:
            if self._others >= ROUTES_MAX:
                return _refused(Refusal.LIMIT_REACHED, f"this node has {ROUTES_MAX} routes; remove one first")
            begun = yield from orders.followed(event.route, names, event.overrides)
            self.route = Route(event.route, event.endpoints, event.settings, event.mode, begun)
        elif (self.route.endpoints, self.route.settings) == (event.endpoints, event.settings):
            return _UNCHANGED, ()
        route = self.route
        route.endpoints, route.settings = event.endpoints, event.settings
        route.readings = {name: one for name, one in route.readings.items() if name in names}
        route.overrides = orders.surviving(route.overrides, names)
        return _APPLIED, (yield from self.evaluate(route, rows_must_change=True))

    def _observe(self, route: Route, event: Observe) -> Steps[Answer]:
        names = {one.name for one in route.endpoints}
        route.readings.update({one.endpoint: one for one in event.readings if one.endpoint in names and _sane(one)})
        yield
        return _APPLIED, (yield from self.evaluate(route))

    def _set_mode(self, route: Route, event: SetMode) -> Steps[Answer]:
        if route.mode is event.mode:
            return _UNCHANGED, ()
        route.mode = event.mode
        return _APPLIED, (yield from self.evaluate(route))

    def _set_override(self, route: Route, event: SetOverride) -> Steps[Answer]:
        names = {one.name for one in route.endpoints}
        refused = orders.refusal(route.name, names, route.overrides, event.override)
        if refused is not None:
            return refused, ()
        route.overrides = orders.added(route.overrides, event.override)
        return _APPLIED, (yield from self.evaluate(route))

    def _clear_override(self, route: Route, event: ClearOverride) -> Steps[Answer]:
        left = tuple(one for one in route.overrides if (one.kind, one.endpoint) != (event.kind, event.endpoint))
        if left == route.overrides:
            what = f"{event.kind.value} {event.endpoint}".strip()
            return _refused(
                Refusal.NO_SUCH_OVERRIDE, f"route {route.name} has no order {what!r}; `route explain` lists its orders"
            )
        route.overrides = left
        return _APPLIED, (yield from self.evaluate(route))


def _wrong_endpoints(event: SetRoute, names: int) -> Answer | None:
    """Why a route cannot have these endpoints; None when it can."""
    if names != len(event.endpoints) or not 0 < names <= ENDPOINTS_MAX:
        return _refused(
            Refusal.INVALID,
            f"route {event.route}: {len(event.endpoints)} endpoints with {names} names; give 1 to "
            f"{ENDPOINTS_MAX} endpoints with a name of their own each",
        )
    wrong = next((one for one in event.endpoints if not 0.0 < one.capacity < math.inf), None)
    if wrong is not None:
        return _refused(
            Refusal.INVALID, f"route {event.route}, endpoint {wrong.name}: capacity {wrong.capacity} is not above 0"
        )
    return None


def _not_after(row: Row, now_s: float, settings: Settings) -> Row:
    """The row without times to come, such as a clock that was set back leaves; an ejection ends as it would have."""
    since_s, moved_s = min(row.since_s, now_s), min(row.moved_s, now_s)
    until_s = min(row.until_s, since_s + EJECTIONS_MAX * settings.ejection_s)
    return replace(row, since_s=since_s, until_s=until_s, moved_s=moved_s, turned_s=min(row.turned_s, moved_s))


def _sane(one: Reading) -> bool:
    # Spelled out, as it is asked for each endpoint in each decision. NaN is in no range.
    return (
        0.0 <= one.service_s < math.inf
        and 0.0 <= one.rtt_s < math.inf
        and 0.0 <= one.bad_lower <= 1.0
        and 0.0 <= one.in_flight < math.inf
        and 0.0 <= one.samples < math.inf
    )


def _refused(refusal: Refusal, message: str) -> Answer:
    return Outcome(OutcomeKind.REFUSED, message, refusal), ()
