"""What a replayed log comes to, route by route, in memory that does not grow with the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from weftmesh.core.records import record
from weftmesh.core.routing.deciding import Policy
from weftmesh.core.routing.model import Decision
from weftmesh.core.routing.replay import Replayed, Replaying

DIFFERS_MIN: Final = 0.001
"""Decisions are different when this much weight goes elsewhere: a tenth of a percent."""


@record(frozen=True, slots=True)
class EndpointReplay:
    """One endpoint's weights, 0 to 1.

    Attributes:
        endpoint: its name.
        logged: in the last decision.
        replayed: in the last decision, under the policy.
        logged_mean: over all decisions.
        replayed_mean: over all decisions, under the policy.
    """

    endpoint: str
    logged: float
    replayed: float
    logged_mean: float
    replayed_mean: float


@record(frozen=True, slots=True)
class RouteReplay:
    """One route under another policy.

    Attributes:
        route: its name.
        decisions: that were taken again.
        differing: of them.
        moved_mean: weight that goes elsewhere in a decision, 0 to 1; over all decisions.
        moved_max: in the decision that differs most.
        from_s: Unix time of the first one.
        until_s: of the last one.
        gaps: places where the log lacks decisions.
        endpoints: of the last decision.
    """

    route: str
    decisions: int
    differing: int
    moved_mean: float
    moved_max: float
    from_s: float
    until_s: float
    gaps: int
    endpoints: tuple[EndpointReplay, ...]


class _Summing:
    """One route, so far."""

    def __init__(self, policy: Policy) -> None:
        self._replaying = Replaying(policy)
        self._sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._decisions = 0
        self._differing = 0
        self._moved = 0.0
        self._moved_max = 0.0
        self._from_s = 0.0
        self._last: Replayed | None = None

    def take(self, logged: Decision) -> None:
        again = self._replaying.take(logged)
        if self._last is None:
            self._from_s = logged.inputs.time_s
        self._last = again
        self._decisions += 1
        self._differing += again.moved >= DIFFERS_MIN
        self._moved += again.moved
        self._moved_max = max(self._moved_max, again.moved)
        for place, rows in enumerate((logged.after, again.after)):
            for row in rows:
                self._sums[row.endpoint][place] += row.weight

    def summary(self, last: Replayed) -> RouteReplay:
        replayed = {row.endpoint: row.weight for row in last.after}
        endpoints = tuple(
            EndpointReplay(
                row.endpoint,
                row.weight,
                replayed.get(row.endpoint, 0.0),
                self._sums[row.endpoint][0] / self._decisions,
                self._sums[row.endpoint][1] / self._decisions,
            )
            for row in last.logged.after
        )
        return RouteReplay(
            route=last.logged.inputs.route,
            decisions=self._decisions,
            differing=self._differing,
            moved_mean=self._moved / self._decisions,
            moved_max=self._moved_max,
            from_s=self._from_s,
            until_s=last.logged.inputs.time_s,
            gaps=self._replaying.gaps,
            endpoints=endpoints,
        )

    @property
    def last(self) -> Replayed | None:
        return self._last


def summaries(log: Iterable[Decision], policy: Policy, route: str = "", from_s: float = 0.0) -> list[RouteReplay]:
    """Take a log of all routes again.

    Args:
        log: in the order in which decisions were taken.
        policy: decides.
        route: the only one to look at; empty for all.
        from_s: Unix time; earlier decisions are left out.

    Returns:
        One summary for each route, by name.
    """
    found: dict[str, _Summing] = {}
    for one in log:
        name = one.inputs.route
        if route in ("", name) and one.inputs.time_s >= from_s:
            found.setdefault(name, _Summing(policy)).take(one)
    return [one.summary(one.last) for _, one in sorted(found.items()) if one.last is not None]
