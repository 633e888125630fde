"""Agreements in, graph of steps out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import Agreement, Objective
from weftmesh.core.workflow import settings
from weftmesh.core.workflow.canonical import steps_sha256
from weftmesh.core.workflow.model import Step, StepKind, Workflow


def workflow(agreements: Iterable[Agreement]) -> Workflow:
    """The graph for agreements, in whatever order they come.

    Each objective goes from the probes of its agreement to a confirmation. Agreements about one service share the two
    steps of its route. An objective is evaluated after the same objective of what it cannot do without, so that the
    cause is known before the effect.

    Raises:
        InvalidInputError: two agreements have the same name, or they need each other in a circle.
    """
    by_name: dict[str, Agreement] = {}
    for one in agreements:
        if by_name.setdefault(one.name, one) is not one:
            raise InvalidInputError(f"two agreements are named {one.name}: give one another name", reason="NAME_TWICE")
    found = [step for one in by_name.values() for step in _steps(one, by_name)]
    steps = tuple(sorted([*found, *_routes(by_name.values())], key=lambda one: one.id))
    return Workflow(steps, _waves(steps), steps_sha256(steps))


def _steps(agreement: Agreement, agreements: Mapping[str, Agreement]) -> Iterator[Step]:
    probes: dict[str, Step] = {}
    for probe in agreement.probes:
        subject = " ".join(filter(None, (probe.kind.name.lower(), probe.path)))
        step_id = _id(agreement.name, StepKind.PROBE, subject)
        probes[step_id] = Step(
            step_id, StepKind.PROBE, agreement.name, subject, (), settings.of_probe(probe, agreement.endpoints)
        )
    yield from probes.values()
    for objective in agreement.objectives:
        yield from _objective_steps(agreement, objective, tuple(sorted(probes)), agreements)


def _objective_steps(
    agreement: Agreement, objective: Objective, probes: tuple[str, ...], agreements: Mapping[str, Agreement]
) -> Iterator[Step]:
    def step_id(kind: StepKind) -> str:
        return _id(agreement.name, kind, objective.key)

    causes = {
        _id(name, StepKind.EVALUATE, objective.key)
        for dependency in agreement.depends_on
        if dependency.hard
        for name in dependency.any_of
        if name in agreements and agreements[name].objective(objective.key) is not None
    }
    aggregate, evaluate = step_id(StepKind.AGGREGATE), step_id(StepKind.EVALUATE)
    applied = _id(f"route {agreement.service}", StepKind.APPLY, "")
    for kind, needs, made in (
        (StepKind.AGGREGATE, probes, settings.of_objective(objective)),
        (StepKind.EVALUATE, tuple(sorted({aggregate, *causes})), settings.of_evaluation(agreement, objective)),
        (StepKind.CONFIRM, tuple(sorted((evaluate, applied))), settings.of_confirmation(agreement)),
    ):
        yield Step(step_id(kind), kind, agreement.name, objective.key, needs, made)


def _routes(agreements: Iterable[Agreement]) -> Iterator[Step]:
    by_service: defaultdict[str, list[Agreement]] = defaultdict(list)
    for one in agreements:
        by_service[one.service].append(one)
    for service, sharing in by_service.items():
        decide, apply = (_id(f"route {service}", kind, "") for kind in (StepKind.DECIDE, StepKind.APPLY))
        needs = {_id(one.name, StepKind.EVALUATE, objective.key) for one in sharing for objective in one.objectives}
        yield Step(decide, StepKind.DECIDE, "", service, tuple(sorted(needs)), settings.of_decision(sharing))
        yield Step(apply, StepKind.APPLY, "", service, (decide,))


def _waves(steps: tuple[Step, ...]) -> tuple[tuple[str, ...], ...]:
    sorter = TopologicalSorter({step.id: step.needs for step in steps})
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " > ".join(reversed(error.args[1]))
        raise InvalidInputError(
            f"steps need each other in a circle: {circle}; make a dependency soft", reason="CYCLE"
        ) from error
    waves = []
    while ready := sorter.get_ready():
        waves.append(tuple(sorted(ready)))
        sorter.done(*ready)
    return tuple(waves)


def _id(owner: str, kind: StepKind, subject: str) -> str:
    return "/".join(filter(None, (owner, kind.name.lower(), subject)))
