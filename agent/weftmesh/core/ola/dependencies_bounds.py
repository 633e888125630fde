"""What dependencies can give: availability in series, in parallel and behind a cache, and response times in a row.

The arithmetic is exact within an agreement and rounded up to 18 digits from one to the next. It assumes that
dependencies fail independently of each other. Of alternatives that need the same agreement this is plainly wrong, and
there the shared one is the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import ceil, prod
from typing import Final

from weftmesh.core.ola.dependencies import DependencyGraph
from weftmesh.core.ola.model import WHOLE_PPB, Agreement, Dependency, ResponseTime, Uptime
from weftmesh.core.records import record

ALL: Final = Fraction(1)
_SCALE: Final = 10**18
"""Without an end to the digits, agreements that need the same one by two ways each would double them at every level."""


@record(frozen=True, slots=True)
class Term:
    """What one hard dependency leaves of the availability."""

    dependency: Dependency
    gives: Fraction
    """Cache, alternatives and what they share are in it."""
    shared: str = ""
    """The agreement that every alternative needs and that is the limit; empty if there is none."""


@record(frozen=True, slots=True)
class Bound:
    """The most that the hard dependencies of an agreement can give."""

    at_most: Fraction
    terms: tuple[Term, ...]
    """In the order of the agreement."""


@record(frozen=True, slots=True)
class Availability:
    """What can be expected of the agreements.

    Attributes:
        bounds: of each agreement that has hard dependencies.
        expected: of each agreement the lower of its promise and its bound; all of it where neither is known. Within a
            circle it is the promise.
    """

    bounds: Mapping[str, Bound]
    expected: Mapping[str, Fraction]


def availability(agreements: Mapping[str, Agreement], graph: DependencyGraph) -> Availability:
    """What each agreement can give, from those that need nothing to those that need everything."""
    expected = {name: promised_uptime(one) or ALL for name, one in agreements.items()}
    bounds: dict[str, Bound] = {}
    shared = _SharedNeeds(graph)
    for name in graph.order:
        hard = [one for one in agreements[name].depends_on if one.hard and expected.keys() >= set(one.any_of)]
        terms = tuple(_term(one, expected, shared) for one in hard)
        if terms and name not in graph.circular:
            bounds[name] = Bound(prod((one.gives for one in terms), start=ALL), terms)
            expected[name] = min(expected[name], Fraction(ceil(bounds[name].at_most * _SCALE), _SCALE))
    return Availability(bounds, expected)


def promised_uptime(agreement: Agreement) -> Fraction | None:
    """The share of events that an agreement promises to answer; None of one that promises no uptime."""
    uptime = agreement.objective("uptime")
    return Fraction(uptime.target_ppb, WHOLE_PPB) if isinstance(uptime, Uptime) else None


def series_time_us(agreement: Agreement, agreements: Mapping[str, Agreement], target_ppb: int) -> dict[str, int]:
    """How long the hard dependencies may take that promise the same percentile, in microseconds, each by name.

    Of alternatives the quickest counts. A dependency behind a cache counts unless the cache answers so many requests
    that the percentile does not see it. To add the times up says that the dependencies are asked one after another.
    """
    times: dict[str, int] = {}
    for dependency in agreement.depends_on:
        if not dependency.hard or dependency.cached_ppb >= target_ppb:
            continue
        known = [
            (objective.threshold_us, name)
            for name in dependency.any_of
            if name in agreements
            for objective in agreements[name].objectives
            if isinstance(objective, ResponseTime) and objective.target_ppb == target_ppb
        ]
        if len(known) == len(dependency.any_of):
            threshold_us, name = min(known)
            times[name] = threshold_us
    return times


def _term(dependency: Dependency, expected: Mapping[str, Fraction], shared_needs: _SharedNeeds) -> Term:
    either = ALL - prod((ALL - expected[name] for name in dependency.any_of), start=ALL)
    shared = ""
    if len(dependency.any_of) > 1:
        common = shared_needs.of(dependency.any_of)
        worst = min(common, key=lambda name: (expected[name], name), default="")
        if worst and expected[worst] < either:
            either, shared = expected[worst], worst
    hit = Fraction(dependency.cached_ppb, WHOLE_PPB)
    return Term(dependency, hit + (ALL - hit) * either, shared)


class _SharedNeeds:
    """What fails with whom, looked up once for each name."""

    def __init__(self, graph: DependencyGraph) -> None:
        self._graph = graph
        self._known: dict[str, frozenset[str]] = {}

    def of(self, names: Iterable[str]) -> frozenset[str]:
        """Agreements without which each of these fails, themselves included."""
        return frozenset.intersection(*map(self._always_needed, names))

    def _always_needed(self, name: str) -> frozenset[str]:
        if name not in self._known:
            found = {name}
            front = [name]
            while front:
                fresh = set(self._graph.certain[front.pop()]) - found
                found |= fresh
                front += fresh
            self._known[name] = frozenset(found)
        return self._known[name]
