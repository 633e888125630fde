"""Every route of this node: its table, what is known of its endpoints, and who is told when it changes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol

import structlog

from weftmesh.core.errors import InvalidInputError, NotFoundError
from weftmesh.core.routing.events import (
    ClearOverride,
    Decided,
    Event,
    Observe,
    OutcomeKind,
    RemoveRoute,
    RestoreRoute,
    SetMode,
    SetOverride,
    SetRoute,
)
from weftmesh.core.routing.model import Decision, Inputs, OverrideKind, Row
from weftmesh.core.routing.ordered import shares
from weftmesh.core.routing.table import RoutingTable
from weftmesh.router.clock import Clock, utc_text
from weftmesh.router.following.wanted import WantedRoute
from weftmesh.router.routes.live import LiveRoute
from weftmesh.router.samples import Sample
from weftmesh.routing.v1 import kept_pb2
from weftmesh.runtime.wire.decisions import row_message, rows_of

EVALUATION_S: Final = 1.0
"""Between two looks at a route's endpoints; after a bad sample the next look comes at once."""
URGENT_S: Final = 0.1
"""But not sooner after the last one."""
_log = structlog.get_logger("weftmesh.router")


class Decisions(Protocol):
    """Where decisions are kept."""

    def append(self, decision: Decision) -> None:
        """Keep one."""


class Tables:
    """Routes as agreements want them, as tables decide them, and as requests meet them.

    Args:
        clock: of the process.
        rng: for choices.
        decisions: where decisions are kept.

    Attributes:
        decided: decisions since the start.
    """

    def __init__(self, clock: Clock, rng: random.Random, decisions: Decisions) -> None:
        self._clock = clock
        self._rng = rng
        self._decisions = decisions
        self.decided = 0
        self._table = RoutingTable()
        self._wanted: dict[str, WantedRoute] = {}
        self._live: dict[str, LiveRoute] = {}
        self._refused: dict[str, list[str]] = {}
        self._evaluate_at_s: dict[str, float] = {}
        self._urgent: set[str] = set()
        self._listeners: list[Callable[[str], None]] = []

    # Reading

    def names(self) -> tuple[str, ...]:
        """Every route, sorted."""
        return self._table.routes()

    def wanted(self, route: str) -> WantedRoute:
        """What agreements say of a route.

        Raises:
            NotFoundError: there is none.
        """
        found = self._wanted.get(route)
        if found is None or route not in self._live:
            raise no_route(route)
        return found

    def live(self, route: str) -> LiveRoute | None:
        """What is known of a route's endpoints; None when there is no such route."""
        return self._live.get(route)

    def rows(self, route: str) -> tuple[Row, ...]:
        """The table in force; see RoutingTable."""
        return self._table.rows(route)

    def version(self, route: str) -> int:
        """See RoutingTable."""
        return self._table.version(route)

    def decisions(self, route: str) -> tuple[Decision, ...]:
        """The latest ones; see RoutingTable."""
        return self._table.decisions(route)

    def proposed(self, route: str) -> tuple[Row, ...]:
        """What the latest decision computed, whether it is in force or not."""
        return self._table.proposed(route)

    def inputs(self, route: str) -> Inputs | None:
        """As things stand; see RoutingTable."""
        return self._table.inputs(route)

    def story(self, route: str) -> str:
        """See RoutingTable."""
        return self._table.story(route, utc_text)

    def refused(self, route: str) -> tuple[str, ...]:
        """What could not be followed, and why."""
        return tuple(self._refused.get(route, ()))

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with a route whose table changed, came or went."""
        self._listeners.append(listener)

    # Agreements and orders

    def want(self, routes: Mapping[str, WantedRoute]) -> None:
        """Follow what agreements and orders say now."""
        for _ in self.want_in_steps(routes):
            pass

    def want_in_steps(self, routes: Mapping[str, WantedRoute]) -> Iterator[None]:
        """As `want`, a route with each step: a table of many endpoints takes milliseconds."""
        for name in [one for one in self._wanted if one not in routes]:
            self._remove(name)
            yield
        for name, route in routes.items():
            if self._wanted.get(name) != route:
                self._wanted[name] = route
                self._change(route)
            yield

    def _remove(self, name: str) -> None:
        if self._table.inputs(name) is not None:
            self._apply(RemoveRoute(name))
        for kept in (self._wanted, self._live, self._refused, self._evaluate_at_s):
            kept.pop(name, None)
        self._urgent.discard(name)
        self._tell(name)

    def _change(self, route: WantedRoute) -> None:
        self._refused[route.name] = []
        if (inputs := self._table.inputs(route.name)) is None:
            self._apply(SetRoute(route.name, route.endpoints, route.settings, route.mode, route.overrides))
            if (inputs := self._table.inputs(route.name)) is None:
                return
        for event in _events(route, inputs):
            self._apply(event)
        self._go_live(route)
        self._tell(route.name)

    def _go_live(self, route: WantedRoute) -> None:
        inputs, now_s = self._table.inputs(route.name), self._clock.monotonic_s()
        if inputs is None:
            return
        # What the table refused must not be followed by requests either.
        endpoints, threshold_s = inputs.endpoints, inputs.settings.threshold_s
        live = self._live.get(route.name)
        if live is None:
            live = LiveRoute(endpoints, threshold_s, route.deciding_probe, self._rng, now_s)
            self._live[route.name] = live
        else:
            live.change(endpoints, threshold_s, route.deciding_probe, now_s)
        self._follow(route.name)

    def _follow(self, name: str) -> None:
        """Let requests follow the table. Who only watches, froze it or ordered shares wants the weights as they are."""
        live, inputs = self._live.get(name), self._table.inputs(name)
        rows = self._table.rows(name)
        if live is not None and inputs is not None and len(rows) == len(live.endpoints):
            live.follow(rows, inputs.takes_effect and shares(inputs) is None)

    # Samples and time

    def take(self, sample: Sample) -> None:
        """Learn from a sample; implements `samples.Samples`."""
        live = self._live.get(sample.route)
        if live is not None:
            live.take(sample)
            if not sample.ok:
                self._urgent.add(sample.route)

    def due(self) -> list[str]:
        """Routes that should be looked at now."""
        now_s = self._clock.monotonic_s()
        urgent, self._urgent = self._urgent, set()
        found = []
        for name, live in self._live.items():
            at_s = self._evaluate_at_s.get(name, 0.0)
            if now_s >= at_s and live.is_due(now_s):
                found.append(name)
            elif name in urgent:
                if now_s >= at_s - EVALUATION_S + URGENT_S:
                    found.append(name)
                else:
                    self._urgent.add(name)
        return found

    def evaluate(self, route: str) -> None:
        """Look at a route's endpoints, and decide."""
        live, now_s = self._live.get(route), self._clock.monotonic_s()
        if live is None:
            return
        # A part of a tick is left out, so that what is due every second is not late by a tick each time.
        self._evaluate_at_s[route] = now_s + EVALUATION_S - URGENT_S / 2
        self._apply(Observe(route, live.readings(now_s)))

    def _apply(self, event: Event) -> None:
        outcome, effects = self._table.apply(event, self._clock.table_s())
        name = getattr(event, "route", "")
        if outcome.kind is OutcomeKind.REFUSED:
            _log.warning("not followed", route=name, why=outcome.message)
            self._refused.setdefault(name, []).append(outcome.message)
        decided = [one.decision for one in effects if isinstance(one, Decided)]
        self.decided += len(decided)
        for decision in decided:
            self._decisions.append(decision)
        if decided and isinstance(event, Observe):
            self._follow(name)
            self._tell(name)

    def _tell(self, name: str) -> None:
        for listener in self._listeners:
            listener(name)

    # What outlives the process

    def kept(self, route: str) -> kept_pb2.KeptTable:
        """The table of a route, as `restore` takes it."""
        rows = [row_message(row) for row in self._table.rows(route)]
        return kept_pb2.KeptTable(
            route=route, version=self._table.version(route), decided=self._table.decided(route), rows=rows
        )

    def restore(self, kept: Iterable[kept_pb2.KeptTable], routes: Mapping[str, WantedRoute]) -> None:
        """Go on from tables of an earlier life of the process; what does not fit the agreements begins anew."""
        for one in kept:
            route = routes.get(one.route)
            if route is not None:
                self._restore(one, route)
        self._refused.clear()
        self.want(routes)

    def _restore(self, kept: kept_pb2.KeptTable, route: WantedRoute) -> None:
        try:
            rows = rows_of(kept.rows)
        except InvalidInputError as error:
            _log.warning("a kept table cannot be read", route=route.name, why=str(error))
            return
        self._apply(
            RestoreRoute(
                route.name,
                route.endpoints,
                route.settings,
                route.mode,
                route.overrides,
                rows,
                kept.version,
                kept.decided,
            )
        )


def no_route(route: str) -> NotFoundError:
    """The error for a route that is not there."""
    return NotFoundError(
        f"there is no route {route[:80]!r} on this node; `weftmesh route table` lists them, and an agreement with "
        "endpoints makes one",
        reason="NO_SUCH_ROUTE",
    )


def _events(route: WantedRoute, inputs: Inputs) -> list[Event]:
    """What changes the table to what is wanted: a freeze comes first and goes last, so that nothing moves between."""
    name, present = route.name, set(inputs.overrides)
    new = [one for one in route.overrides if one not in present]
    keys = {(one.kind, one.endpoint) for one in route.overrides}
    kinds = {one.kind for one in route.overrides}
    gone = [
        one
        for one in inputs.overrides
        if (one.kind, one.endpoint) not in keys and not (one.kind is OverrideKind.PIN and one.kind in kinds)
    ]
    freezes = [SetOverride(name, one) for one in new if one.kind is OverrideKind.FREEZE]
    thaws = [ClearOverride(name, one.kind) for one in gone if one.kind is OverrideKind.FREEZE]
    return [
        *freezes,
        SetRoute(name, route.endpoints, route.settings),
        *(ClearOverride(name, one.kind, one.endpoint) for one in gone if one.kind is not OverrideKind.FREEZE),
        *(SetOverride(name, one) for one in new if one.kind is not OverrideKind.FREEZE),
        SetMode(name, route.mode),
        *thaws,
    ]
