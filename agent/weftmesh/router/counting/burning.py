"""How fast services spend their error budgets just now, as this node sees it: what moves their jobs up a class.

Minutes are enough for lanes, which only share out this node's time; breaches are judged over hours, by whoever leads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from weftmesh.core.ola.budget import Count, burn_rate
from weftmesh.core.ola.burn import EVENTS_MIN
from weftmesh.core.ola.model import Agreement
from weftmesh.router.counting.rules import Rule, rules
from weftmesh.router.samples import Sample

PART_S: Final = 10.0
PARTS: Final = 6
"""A rate is that of the last minute or so."""

_Key = tuple[str, str]
"""An agreement, and one of its objectives."""


class Burning:
    """Rates of all services; implements `samples.Samples`. Throughput is left out: it is judged by parts of time."""

    def __init__(self) -> None:
        self._by_route: Mapping[str, Sequence[Rule]] = {}
        self._targets_ppb: dict[_Key, int] = {}
        self._parts: dict[int, defaultdict[_Key, list[int]]] = {}
        """Good events and all, by the number of the part in which they ended."""

    def set_agreements(self, agreements: Iterable[Agreement]) -> None:
        """Judge by these from now on; an objective that goes on keeps what was counted for it."""
        by_route: defaultdict[str, list[Rule]] = defaultdict(list)
        targets_ppb: dict[_Key, int] = {}
        for agreement in agreements:
            by_route[agreement.service] += [one for one in rules(agreement) if not one.meaning.part_ms]
            targets_ppb |= {(agreement.name, one.key): one.target_ppb for one in agreement.objectives}
        self._by_route, self._targets_ppb = by_route, targets_ppb

    def take(self, sample: Sample) -> None:
        """Count a sample for every objective about its route."""
        found = self._by_route.get(sample.route, ())
        if not found or not 0 <= sample.answered <= sample.sent:
            return
        number = int(sample.ended_s // PART_S)
        part = self._parts.get(number)
        if part is None:
            part = self._parts[number] = defaultdict(lambda: [0, 0])
            for old in [one for one in self._parts if one <= number - PARTS]:
                del self._parts[old]
        for rule in found:
            good, total = rule.count(sample)
            pair = part[rule.meaning.agreement, rule.meaning.objective]
            pair[0] += good
            pair[1] += total

    def rates(self, now_s: float) -> dict[str, float]:
        """Of each service with enough events: the rate of spending of its worst objective, 1 being what it may.

        Args:
            now_s: in the clock of `Sample.ended_s`.
        """
        newest = int(now_s // PART_S)
        recent = [part for number, part in self._parts.items() if newest - PARTS < number <= newest]
        worst: dict[str, float] = {}
        for service, found in self._by_route.items():
            for key in {(one.meaning.agreement, one.meaning.objective) for one in found}:
                pairs = [part[key] for part in recent if key in part]
                count = Count(sum(good for good, _ in pairs), sum(total for _, total in pairs))
                rate = burn_rate(count, self._targets_ppb[key]) if count.total >= EVENTS_MIN else None
                if rate is not None:
                    worst[service] = max(worst.get(service, 0.0), float(rate))
        return worst
