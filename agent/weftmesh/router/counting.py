"""Samples in; at the end of each window of five minutes, how many events of each objective were good.

Pure: time comes with the samples. Counts do not depend on the order of samples, and an objective whose meaning changes
within a window is counted from then on.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

from weftmesh.core.ola.model import Agreement
from weftmesh.core.ola.replicated.rows import WINDOW_S, ConfirmedAgreement, Limits, ObjectiveCount
from weftmesh.core.records import record
from weftmesh.core.workflow.building import workflow
from weftmesh.router.counting_rules import Meaning, Rule, rules
from weftmesh.router.samples import Sample

WINDOW_MS: Final = WINDOW_S * 1_000
WINDOWS_OPEN_MAX: Final = 4
"""This window and the one before, and what a clock that jumps may open; samples of further ones are left out."""
PARTS_OPEN_MAX: Final = 100_000
"""Moments at which parts of throughputs begin; requests beyond are left out."""
CLOSED_KEPT: Final = 12
"""Windows that are known to be closed. A sample that is later still makes a word that the node has heard already."""


@record(frozen=True, slots=True)
class InForce:
    """An agreement to count by.

    Attributes:
        agreement: what it says.
        generation: which one of it.
        workflow: the hash of its workflow graph.
    """

    agreement: Agreement
    generation: int
    workflow: bytes

    @classmethod
    def of(cls, agreement: Agreement, generation: int) -> Self:
        """With the hash of the graph that `weftmesh ola graph` draws of the agreement alone."""
        return cls(agreement, generation, bytes.fromhex(workflow([agreement]).sha256))


@record(frozen=True, slots=True)
class CountedWindow:
    """What this node counted in a window that is over.

    Attributes:
        starts_s: Unix seconds.
        agreements: by which it was counted.
        counts: of objectives of which something was counted.
        left_out: objectives beyond what one window may have.
    """

    starts_s: int
    agreements: tuple[ConfirmedAgreement, ...]
    counts: tuple[ObjectiveCount, ...]
    left_out: int = 0


@record(frozen=True, slots=True)
class Tally:
    """What was counted for one objective since a moment, and is not closed yet.

    Attributes:
        starts_ms: of the window, or of the part of time; Unix milliseconds.
        meaning: what was counted.
        good: events or requests.
        total: of them.
    """

    starts_ms: int
    meaning: Meaning
    good: int
    total: int


@record(frozen=True, slots=True)
class OpenCounts:
    """All that a restart has to keep.

    Attributes:
        closed_s: where the latest windows start that are closed; the first word for a window holds.
        tallies: of windows and parts that are open.
    """

    closed_s: tuple[int, ...] = ()
    tallies: tuple[Tally, ...] = ()


_Pairs = defaultdict[Meaning, list[int]]


def _pairs() -> _Pairs:
    return defaultdict(lambda: [0, 0])


class Counting:
    """Counts for all agreements of this node; implements `samples.Samples`.

    Args:
        kept: of an earlier life of the process.

    Attributes:
        late: samples of windows that were closed already.
        refused: samples that say what cannot be.
    """

    def __init__(self, kept: OpenCounts | None = None) -> None:
        kept = kept or OpenCounts()
        self._closed_s: deque[int] = deque(kept.closed_s, maxlen=CLOSED_KEPT)
        self._until_ms = -1
        self._in_force: tuple[InForce, ...] | None = None
        self._by_route: Mapping[str, Sequence[Rule]] = {}
        self._meanings: frozenset[Meaning] = frozenset()
        self._windows: dict[int, _Pairs] = {}
        """By their starts, Unix milliseconds."""
        self._parts: dict[int, _Pairs] = {}
        self.late = 0
        self.refused = 0
        for one in kept.tallies:
            place = self._parts if one.meaning.part_ms else self._windows
            place.setdefault(one.starts_ms, _pairs())[one.meaning] = [one.good, one.total]

    @property
    def open_counts(self) -> OpenCounts:
        """What a later life of the process goes on with."""
        tallies = [
            Tally(starts_ms, meaning, *pair)
            for place in (self._windows, self._parts)
            for starts_ms, pairs in place.items()
            for meaning, pair in pairs.items()
        ]
        return OpenCounts(tuple(self._closed_s), tuple(tallies))

    def set_agreements(self, in_force: Iterable[InForce]) -> None:
        """Count by these from now on; what was counted by others is left out when its window closes."""
        self._in_force = tuple(sorted(in_force, key=lambda one: (one.agreement.service_class, one.agreement.name)))
        by_route: defaultdict[str, list[Rule]] = defaultdict(list)
        for one in self._in_force:
            by_route[one.agreement.service] += rules(one.agreement)
        self._by_route = by_route
        self._meanings = frozenset(rule.meaning for of_route in by_route.values() for rule in of_route)

    def take(self, sample: Sample) -> None:
        """Count a sample for every agreement about its route."""
        found = self._by_route.get(sample.route)
        if found is None:
            return
        if not 0 <= sample.answered <= sample.sent <= Limits.COUNT_MAX or sample.sent == 0:
            self.refused += 1
            return
        starts_ms = sample.wall_ms - sample.wall_ms % WINDOW_MS
        if starts_ms // 1_000 in self._closed_s:
            self.late += 1
            return
        for rule in found:
            good, total = rule.count(sample)
            if total:
                self._add(rule.meaning, sample.wall_ms, good, total)

    def close(self, now_ms: int) -> list[CountedWindow]:
        """The windows that are over, the oldest first; those in which nothing was counted are left out.

        None is closed before agreements are known.

        Args:
            now_ms: Unix time until which samples have come.
        """
        until_ms = now_ms - now_ms % WINDOW_MS
        if self._in_force is None or until_ms == self._until_ms:
            return []
        self._until_ms = until_ms
        self._close_parts(until_ms)
        over = sorted(one for one in self._windows if one < until_ms)
        closed = [self._closed(one // 1_000, self._windows.pop(one)) for one in over]
        found = [one for one in closed if one.counts]
        self._closed_s.extend(one.starts_s for one in found)
        return found

    def _add(self, meaning: Meaning, wall_ms: int, good: int, total: int) -> None:
        place, span_ms, limit = self._windows, WINDOW_MS, WINDOWS_OPEN_MAX
        if meaning.part_ms:
            place, span_ms, limit = self._parts, meaning.part_ms, PARTS_OPEN_MAX
        pairs = place.get(starts_ms := wall_ms - wall_ms % span_ms)
        if pairs is None:
            if len(place) >= limit:
                self.refused += 1
                return
            pairs = place[starts_ms] = _pairs()
        pair = pairs[meaning]
        pair[0] += good
        pair[1] += total

    def _close_parts(self, until_ms: int) -> None:
        """Count each part that is over as an event of the window in which it ends."""
        for starts_ms, pairs in list(self._parts.items()):
            for meaning in [one for one in pairs if starts_ms + one.part_ms <= until_ms]:
                answered, asked = pairs.pop(meaning)
                last_ms = starts_ms + meaning.part_ms - 1
                window_ms = last_ms - last_ms % WINDOW_MS
                if window_ms // 1_000 not in self._closed_s:
                    pair = self._windows.setdefault(window_ms, _pairs())[meaning]
                    pair[0] += meaning.is_good_part(answered, asked)
                    pair[1] += 1
            if not pairs:
                del self._parts[starts_ms]

    def _closed(self, starts_s: int, pairs: _Pairs) -> CountedWindow:
        by_agreement: defaultdict[str, list[ObjectiveCount]] = defaultdict(list)
        for meaning, (good, total) in pairs.items():
            if meaning in self._meanings:
                count = ObjectiveCount(meaning.agreement, meaning.objective, good, total)
                by_agreement[meaning.agreement].append(count)
        counted: list[ObjectiveCount] = []
        for one in self._in_force or ():
            counted += sorted(by_agreement[one.agreement.name], key=lambda count: count.objective)
        kept = tuple(counted[: Limits.COUNTS])
        names = {count.name for count in kept}
        agreements = tuple(
            ConfirmedAgreement(one.agreement.name, one.generation, one.workflow)
            for one in self._in_force or ()
            if one.agreement.name in names
        )
        return CountedWindow(starts_s, agreements, kept, len(counted) - len(kept))
