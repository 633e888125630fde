"""The table machine: for each route weights, conditions and reasons; events and time in, outcomes and effects out.

It never raises for an event: what cannot be is refused with an outcome. Time is seconds in any one clock; where it runs
backwards, the newest time goes on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from weftmesh.core.routing.changing import Answer, Changing, OfRoute
from weftmesh.core.routing.checking import check_rows
from weftmesh.core.routing.events import Effect, Event, Outcome, OutcomeKind, Refusal, Wake
from weftmesh.core.routing.model import Decision, Inputs, Row
from weftmesh.core.routing.route import Route
from weftmesh.core.routing.steps import Steps, whole
from weftmesh.core.routing.story import TimeText, in_seconds, route_story


class RoutingTable:
    """Every route of this node. Not safe for concurrent use; what it hands out is immutable."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}
        self._now_s = -math.inf

    # Verbs

    def apply(self, event: Event, now_s: float) -> Answer:
        """Take an event in; the effects are to be carried out in their order."""
        if isinstance(event, Wake):
            return self._wake(now_s)
        return whole(self.apply_in_steps((event,), now_s))[0]

    def apply_in_steps(self, events: Sequence[OfRoute], now_s: float) -> Steps[list[Answer]]:
        """Take events of one route in, one after the other.

        What becomes of them is seen after the last step, and all at once: until then the route is as it was before, and
        whoever goes no further leaves no trace. Where another event changed the route meanwhile, all are refused as
        `Refusal.OVERTAKEN`.

        Args:
            events: at least one; all of the same route.
            now_s: the time of all of them.
        """
        self._now_s = max(self._now_s, now_s)
        name = events[0].route
        found = self._routes.get(name)
        others = len(self._routes) - (found is not None)
        changing = Changing(found.draft() if found is not None else None, self._now_s, others)
        answers: list[Answer] = []
        for event in events:
            answer = yield from changing.take(event)
            answers.append(answer)
        if self._routes.get(name) is not found:
            return [_overtaken(name)] * len(answers)
        if changing.route is not None:
            self._routes[name] = changing.route
        else:
            self._routes.pop(name, None)
        return answers

    def _wake(self, now_s: float) -> Answer:
        self._now_s = max(self._now_s, now_s)
        due = [one for one in self._routes.values() if one.deadline_s is not None and one.deadline_s <= self._now_s]
        effects: list[Effect] = []
        for route in due:
            effects += whole(Changing(route, self._now_s, len(self._routes) - 1).evaluate(route))
        return Outcome(OutcomeKind.APPLIED if due else OutcomeKind.UNCHANGED), tuple(effects)

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


def _overtaken(route: str) -> Answer:
    why = f"something else happened to route {route[:80]!r} meanwhile; send it again"
    return Outcome(OutcomeKind.REFUSED, why, Refusal.OVERTAKEN), ()
