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
from weftmesh.router.counting.rules import Meaning, Rule, rules
from weftmesh.router.samples import Sample

WINDOW_MS: Final = WINDOW_S * 1_000
WINDOWS_OPEN_MAX: Final = 4
"""This window and the one before, and what a clock that jumps may open. Of more the last ones are left out: a window
that a clock opened by mistake, years ahead, never ends."""
PARTS_OPEN_MAX: Final = 100_000
"""Moments at which parts of one length begin; requests beyond are left out."""
SETTLED_MS: Final = 70_000
"""A part of time that ended so long ago is judged: reports of requests that ended over a minute ago are refused."""
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
        good: events, parts or requests.
        total: of them.
        is_part: requests in one part of time, which is not judged yet.
    """

    starts_ms: int
    meaning: Meaning
    good: int
    total: int
    is_part: bool = False


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
        self._parts: dict[int, dict[int, _Pairs]] = {}
        """By their length and their starts, milliseconds."""
        self.late = 0
        self.refused = 0
        for one in kept.tallies:
            place = self._place(one.meaning.part_ms if one.is_part else 0)
            place.setdefault(one.starts_ms, _pairs())[one.meaning] = [one.good, one.total]

    @property
    def open_counts(self) -> OpenCounts:
        """What a later life of the process goes on with."""
        places = [(self._windows, False), *((place, True) for place in self._parts.values())]
        tallies = [
            Tally(starts_ms, meaning, pair[0], pair[1], is_part)
            for place, is_part in places
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
        is_new = until_ms != self._until_ms
        if self._in_force is None:
            return []
        self._judge_parts(max(until_ms, now_ms - SETTLED_MS) if is_new else now_ms - SETTLED_MS)
        if not is_new:
            return []
        self._until_ms = until_ms
        over = sorted(one for one in self._windows if one < until_ms)
        closed = [self._closed(one // 1_000, self._windows.pop(one)) for one in over]
        found = [one for one in closed if one.counts]
        self._closed_s.extend(one.starts_s for one in found)
        return found

    def _place(self, part_ms: int) -> dict[int, _Pairs]:
        return self._parts.setdefault(part_ms, {}) if part_ms else self._windows

    def _add(self, meaning: Meaning, wall_ms: int, good: int, total: int) -> None:
        place = self._place(meaning.part_ms)
        span_ms, limit = (meaning.part_ms, PARTS_OPEN_MAX) if meaning.part_ms else (WINDOW_MS, WINDOWS_OPEN_MAX)
        pairs = place.get(starts_ms := wall_ms - wall_ms % span_ms)
        if pairs is None:
            if len(place) >= limit and not _makes_room(place, starts_ms):
                self.refused += 1
                return
            pairs = place[starts_ms] = _pairs()
        pair = pairs[meaning]
        pair[0] += good
        pair[1] += total

    def _judge_parts(self, until_ms: int) -> None:
        """Count each part that ended by then as an event of the window in which it ends."""
        for part_ms, place in self._parts.items():
            for starts_ms in [one for one in place if one + part_ms <= until_ms]:
                last_ms = starts_ms + part_ms - 1
                window_ms = last_ms - last_ms % WINDOW_MS
                pairs = place.pop(starts_ms)
                if window_ms // 1_000 in self._closed_s:
                    continue
                window = self._windows.setdefault(window_ms, _pairs())
                for meaning, (answered, asked) in pairs.items():
                    pair = window[meaning]
                    pair[0] += meaning.is_good_part(answered, asked)
                    pair[1] += 1

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


def _makes_room(place: dict[int, _Pairs], starts_ms: int) -> bool:
    """Drop what begins last, if that is later than what begins at `starts_ms`."""
    last_ms = max(place)
    if last_ms <= starts_ms:
        return False
    del place[last_ms]
    return True
