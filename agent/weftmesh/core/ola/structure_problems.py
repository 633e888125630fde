"""What makes a set of agreements impossible to run: names that nobody has, circles, and routes that are said twice.

It follows from the agreements alone, without calendars, so that replicas find the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from weftmesh.core.ola.dependencies import DependencyGraph
from weftmesh.core.ola.model import Agreement
from weftmesh.core.ola.problems import Problem
from weftmesh.core.records import record

_NAMES_MAX: Final = 12


@record(frozen=True, slots=True)
class PlanProblem:
    """One thing that is wrong with several agreements.

    Attributes:
        agreement: where it has to be mended, or could be.
        problem: what, where in that agreement, and what to do.
        blocks: whether the agreements cannot be run like this; otherwise a promise is made that cannot be kept.
    """

    agreement: str
    problem: Problem
    blocks: bool = False


def structure_problems(agreements: Mapping[str, Agreement], graph: DependencyGraph) -> Iterator[PlanProblem]:
    """All of them, in no certain order; unknown names behind soft dependencies are among them and block nothing."""
    yield from _unknown(agreements, graph)
    yield from _cycles(agreements, graph)
    yield from _routes(agreements)


def _unknown(agreements: Mapping[str, Agreement], graph: DependencyGraph) -> Iterator[PlanProblem]:
    for one in graph.unknown:
        message = f"there is no agreement {one.name}"
        fix = f"apply {one.name} too, or take the dependency out"
        hard = agreements[one.agreement].depends_on[one.index].hard
        yield PlanProblem(one.agreement, Problem(("dependsOn", one.index), message, fix), blocks=hard)


def _cycles(agreements: Mapping[str, Agreement], graph: DependencyGraph) -> Iterator[PlanProblem]:
    for cycle in graph.cycles:
        first, second = cycle[0], cycle[1 % len(cycle)]
        shown = [*cycle, first] if len(cycle) <= _NAMES_MAX else [*cycle[:_NAMES_MAX], "...", first]
        index = next(at for at, one in enumerate(agreements[first].depends_on) if one.hard and second in one.any_of)
        problem = Problem(
            ("dependsOn", index),
            f"agreements need each other in a circle: {' > '.join(shown)}",
            "make one of them soft",
        )
        yield PlanProblem(first, problem, blocks=True)


def _routes(agreements: Mapping[str, Agreement]) -> Iterator[PlanProblem]:
    """Agreements about one service share its route."""
    first_of_service: dict[str, Agreement] = {}
    for name, agreement in agreements.items():
        if not agreement.endpoints:
            continue
        first = first_of_service.setdefault(agreement.service, agreement)
        differs = [
            field
            for field, same in (
                ("endpoints", set(first.endpoints) == set(agreement.endpoints)),
                ("route", first.route == agreement.route),
            )
            if not same
        ]
        for field in differs:
            message = f"{first.name} says otherwise about the same service, {agreement.service}"
            fix = f"say the same as {first.name}, or name endpoints in one of the two only"
            yield PlanProblem(name, Problem((field,), message, fix), blocks=True)
