"""Every route of this node: its table, what is known of its endpoints, and who is told when it changes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

import structlog

from weftmesh.core.errors import InvalidInputError, NotFoundError
from weftmesh.core.routing.changing import OfRoute
from weftmesh.core.routing.events import Decided, Observe, OutcomeKind, Refusal, RemoveRoute, RestoreRoute, SetRoute
from weftmesh.core.routing.model import Decision, Inputs, Row
from weftmesh.core.routing.ordered import shares
from weftmesh.core.routing.steps import ROWS_A_STEP, Steps, whole
from weftmesh.core.routing.table import RoutingTable
from weftmesh.router.clock import Clock, utc_text
from weftmesh.router.following.wanted import WantedRoute
from weftmesh.router.routes.changes import changes
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
        self._changing: str | None = None
        """The route that agreements or orders are changing: what they want must not be overtaken by a decision."""
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
        whole(self.want_in_steps(routes))

    def want_in_steps(self, routes: Mapping[str, WantedRoute]) -> Steps[None]:
        """As `want`; each route changes at once, after the last of its steps."""
        for name in [one for one in self._wanted if one not in routes]:
            self._remove(name)
            yield
        for name, route in routes.items():
            if self._wanted.get(name) != route:
                self._changing = name
                try:
                    yield from self._change(route)
                finally:
                    self._changing = None
            yield

    def _remove(self, name: str) -> None:
        if self._table.inputs(name) is not None:
            whole(self._apply(RemoveRoute(name)))
        for kept in (self._wanted, self._live, self._refused, self._evaluate_at_s):
            kept.pop(name, None)
        self._urgent.discard(name)
        self._tell(name)

    def _change(self, route: WantedRoute) -> Steps[None]:
        refused: list[str] = []
        if self._table.inputs(route.name) is None:
            begun = SetRoute(route.name, route.endpoints, route.settings, route.mode, route.overrides)
            refused += yield from self._apply(begun)
        if (inputs := self._table.inputs(route.name)) is not None:
            refused += yield from self._apply(*changes(route, inputs))
        # No step from here on: agreement, table and requests change at once.
        self._wanted[route.name], self._refused[route.name] = route, refused
        if inputs is not None:
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
        whole(self.evaluate_in_steps(route))

    def evaluate_in_steps(self, route: str) -> Steps[None]:
        """As `evaluate`; a route that is being changed is looked at again later."""
        live, now_s = self._live.get(route), self._clock.monotonic_s()
        if live is None:
            return
        # A part of a tick is left out, so that what is due every second is not late by a tick each time.
        self._evaluate_at_s[route] = now_s + EVALUATION_S - URGENT_S / 2
        for _ in self._observe(route, live, now_s):
            yield
            if route == self._changing:
                self._urgent.add(route)
                return

    def _observe(self, route: str, live: LiveRoute, now_s: float) -> Steps[None]:
        readings = yield from live.readings(now_s)
        yield from self._apply(Observe(route, readings))

    def _apply(self, *events: OfRoute) -> Steps[list[str]]:
        """Take events of one route in; why those that were refused are."""
        refused, name = [], events[0].route
        answers = yield from self._table.apply_in_steps(events, self._clock.table_s())
        for event, (outcome, effects) in zip(events, answers, strict=True):
            if outcome.refusal is Refusal.OVERTAKEN:
                self._urgent.add(name)
                continue
            if outcome.kind is OutcomeKind.REFUSED:
                _log.warning("not followed", route=name, why=outcome.message)
                refused.append(outcome.message)
            decided = [one.decision for one in effects if isinstance(one, Decided)]
            self.decided += len(decided)
            for decision in decided:
                self._decisions.append(decision)
            if decided and isinstance(event, Observe):
                self._follow(name)
                self._tell(name)
        return refused

    def _tell(self, name: str) -> None:
        for listener in self._listeners:
            listener(name)

    # What outlives the process

    def kept(self, route: str) -> Steps[kept_pb2.KeptTable]:
        """The table of a route, as `restore` takes it; of the moment of the first step."""
        rows = self._table.rows(route)
        kept = kept_pb2.KeptTable(route=route, version=self._table.version(route), decided=self._table.decided(route))
        for begin in range(0, len(rows), ROWS_A_STEP):
            kept.rows.extend(map(row_message, rows[begin : begin + ROWS_A_STEP]))
            yield
        return kept

    def restore(self, kept: Iterable[kept_pb2.KeptTable], routes: Mapping[str, WantedRoute]) -> None:
        """Go on from tables of an earlier life of the process; what does not fit the agreements begins anew."""
        for one in kept:
            route = routes.get(one.route)
            if route is not None:
                self._restore(one, route)
        self.want(routes)

    def _restore(self, kept: kept_pb2.KeptTable, route: WantedRoute) -> None:
        try:
            rows = rows_of(kept.rows)
        except InvalidInputError as error:
            _log.warning("a kept table cannot be read", route=route.name, why=str(error))
            return
        orders, version, decided = route.overrides, kept.version, kept.decided
        event = RestoreRoute(route.name, route.endpoints, route.settings, route.mode, orders, rows, version, decided)
        whole(self._apply(event))


def no_route(route: str) -> NotFoundError:
    """The error for a route that is not there."""
    return NotFoundError(
        f"there is no route {route[:80]!r} on this node; `weftmesh route table` lists them, and an agreement with "
        "endpoints makes one",
        reason="NO_SUCH_ROUTE",
    )
