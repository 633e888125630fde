"""What agreements that are good by themselves get wrong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola import plan_words as words
from weftmesh.core.ola.calendar_hours import HoursGap, first_gap
from weftmesh.core.ola.dependencies import DependencyGraph
from weftmesh.core.ola.dependencies_bounds import ALL, Availability, Term, promised_uptime, series_time_us
from weftmesh.core.ola.model import WHOLE_PPB, Agreement, ResponseTime
from weftmesh.core.ola.problems import Path, Problem
from weftmesh.core.ola.structure_problems import PlanProblem, structure_problems

_TERMS_MAX: Final = 5
_NAMES_MAX: Final = 12


def plan_problems(
    agreements: Mapping[str, Agreement], graph: DependencyGraph, expected: Availability
) -> tuple[PlanProblem, ...]:
    """Everything that is wrong, in the order of agreements and of places in them."""
    found = [*structure_problems(agreements, graph)]
    causes = _Causes(agreements, graph, expected)
    for name, agreement in agreements.items():
        found += [PlanProblem(name, one) for one in _promise(agreement, expected, causes)]
        found += [PlanProblem(name, one) for one in _response_times(agreement, agreements)]
        found += [PlanProblem(name, one) for one in _contradictions(agreement, agreements)]
    return tuple(sorted(found, key=_order))


def _order(one: PlanProblem) -> tuple[str, list[tuple[int, str]], str]:
    """Items of a list by their number, not by its digits."""
    path = [(part, "") if isinstance(part, int) else (-1, part) for part in one.problem.path]
    return one.agreement, path, one.problem.message


class _Causes:
    """Why agreements cannot give what they promise: the worst of what each needs, and the end of that way down."""

    def __init__(self, agreements: Mapping[str, Agreement], graph: DependencyGraph, expected: Availability) -> None:
        self.expected = expected.expected
        self._worst: dict[str, str] = {}
        self._last: dict[str, str] = {}
        for name in graph.order:
            bound = expected.bounds.get(name)
            if bound is None or bound.at_most >= (promised_uptime(agreements[name]) or ALL):
                continue
            worst = min(bound.terms, key=lambda one: (one.gives, one.dependency.any_of))
            self._worst[name] = min(worst.dependency.any_of, key=lambda one: (self.expected[one], one))
            self._last[name] = self._last.get(self._worst[name], self._worst[name])

    def of(self, name: str) -> tuple[list[str], str]:
        """The first ones on the way down, and the last if it is not among them."""
        found: list[str] = []
        last = self._last.get(name, "")
        while name in self._worst and len(found) < _NAMES_MAX:
            name = self._worst[name]
            found.append(name)
        return found, "" if name == last or not last else last


def _promise(agreement: Agreement, expected: Availability, causes: _Causes) -> Iterator[Problem]:
    promised, bound = promised_uptime(agreement), expected.bounds.get(agreement.name)
    if promised is None or bound is None or bound.at_most >= promised:
        return
    promised_ppb = int(promised * WHOLE_PPB)
    digits = max(2, words.percent_digits(promised_ppb))
    lossy = sorted((one for one in bound.terms if one.gives < ALL), key=lambda one: (one.gives, one.dependency.any_of))
    chain = " x ".join(_term(one, causes, digits) for one in lossy[:_TERMS_MAX])
    more = f" and {len(lossy) - _TERMS_MAX} more" if len(lossy) > _TERMS_MAX else ""
    can = words.percent_below(bound.at_most, digits)
    yield Problem(
        ("objectives", "uptime"),
        f"{agreement.name} promises {words.percent(promised_ppb)} but its dependencies can give at most {can}"
        f", if they fail independently: {chain}{more}",
        f"promise at most {can}, or make {'|'.join(lossy[0].dependency.any_of)} better, soft, cached or one of several",
    )


def _term(term: Term, causes: _Causes, digits: int) -> str:
    either = " or ".join(_gives(name, causes, digits) for name in term.dependency.any_of)
    notes = []
    if len(term.dependency.any_of) > 1:
        notes.append(words.percent_below(term.gives, digits))
    if term.shared:
        notes.append(f"each of them needs {term.shared}")
    if term.dependency.cached_ppb:
        notes.append(f"a cache answers {words.percent(term.dependency.cached_ppb)}")
        notes.append(words.percent_below(term.gives, digits))
    return f"{either} ({'; '.join(dict.fromkeys(notes))})" if notes else either


def _gives(name: str, causes: _Causes, digits: int) -> str:
    """An agreement's availability; where it is not what it promises, the way down to who is the reason."""

    def share(one: str) -> str:
        return f"{one} {words.percent_below(causes.expected[one], digits)}"

    way, last = causes.of(name)
    shown = [*map(share, way), *(("...", share(last)) if last else ())]
    return f"{share(name)} (because of {' < '.join(shown)})" if shown else share(name)


def _response_times(agreement: Agreement, agreements: Mapping[str, Agreement]) -> Iterator[Problem]:
    times = [one for one in agreement.objectives if isinstance(one, ResponseTime)]
    for index, one in enumerate(times):
        needs = series_time_us(agreement, agreements, one.target_ppb)
        if sum(needs.values()) <= one.threshold_us:
            continue
        slowest = sorted(needs.items(), key=lambda need: (-need[1], need[0]))
        parts = " + ".join(f"{name} {words.microseconds(took_us)}" for name, took_us in slowest[:_TERMS_MAX])
        more = f" and {len(slowest) - _TERMS_MAX} more" if len(slowest) > _TERMS_MAX else ""
        share = words.percent(one.target_ppb)
        yield Problem(
            ("objectives", "responseTime", index, "threshold"),
            f"{agreement.name} promises {share} within {words.microseconds(one.threshold_us)}, but its dependencies"
            f" promise {share} within {words.microseconds(sum(needs.values()))} together, if they are asked one after"
            f" another and are slow independently: {parts}{more}",
            f"promise {words.microseconds(sum(needs.values()))}, ask them at the same time, or make them faster",
        )


def _contradictions(agreement: Agreement, agreements: Mapping[str, Agreement]) -> Iterator[Problem]:
    for index, dependency in enumerate(agreement.depends_on):
        known = [agreements[name] for name in dependency.any_of if name in agreements]
        if not dependency.hard or len(known) < len(dependency.any_of):
            continue
        at: Path = ("dependsOn", index)
        best = min(known, key=lambda one: (one.service_class, one.name))
        if best.service_class > agreement.service_class:
            yield _class_problem(at, agreement, best)
        shortest = min(known, key=lambda one: (one.window_s, one.name))
        if shortest.window_s > agreement.window_s:
            yield _window_problem(at, agreement, shortest)
        if len(known) == 1 and not dependency.cached_ppb and (gap := _hours_gap(agreement, known[0])):
            yield _hours_problem(at, agreement, known[0], gap)


def _hours_gap(agreement: Agreement, needed: Agreement) -> HoursGap | None:
    try:
        return first_gap(agreement.hours, needed.hours)
    except InvalidInputError:
        return None  # an unknown time zone is a problem of the agreement by itself


def _class_problem(at: Path, agreement: Agreement, needed: Agreement) -> Problem:
    mine, its = agreement.service_class.name.lower(), needed.service_class.name.lower()
    return Problem(
        at, f"{agreement.name} is {mine} but needs {needed.name}, which runs as {its}", f"make {needed.name} {mine} too"
    )


def _window_problem(at: Path, agreement: Agreement, needed: Agreement) -> Problem:
    mine, its = words.seconds(agreement.window_s), words.seconds(needed.window_s)
    share = Fraction(needed.window_s, agreement.window_s)
    times = f"{float(share):.1f}".removesuffix(".0")
    return Problem(
        at,
        f"{agreement.name} is judged over {mine} but {needed.name} over {its}: it may spend {times} times the budget"
        f" of {mine} within {mine} and keep its promise",
        f"judge both over {mine}",
    )


def _hours_problem(at: Path, agreement: Agreement, needed: Agreement, gap: HoursGap) -> Problem:
    return Problem(
        at,
        f"{agreement.name} holds at hours at which {needed.name} does not, first {gap.text}",
        f"let {needed.name} hold then too, or promise less hours",
    )
