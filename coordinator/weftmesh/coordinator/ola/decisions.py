"""What follows from how agreements are doing: pure, so that any leader goes on where one stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from weftmesh.client.ola_status import Judged
from weftmesh.core.ola.budget import Count
from weftmesh.core.ola.burn import Burn
from weftmesh.core.ola.model import WHOLE_PPB, OpenTask, RaiseClass, ServiceClass
from weftmesh.core.ola.replicated.rows import Breach
from weftmesh.core.ola.status import Health, ObjectiveStatus

HOLD_S: Final = 3_600
"""A breach lasts at least so long: a class that goes up and down with every window helps nobody."""
CALM_SHARE: Final = 2
"""A breach is over when every short window burns less than the factor over this."""


@dataclass(frozen=True, slots=True)
class Open:
    """A breach begins."""

    name: str
    objective: str
    started_s: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Close:
    """A breach is over; its tasks are closed first."""

    breach: Breach
    ended_s: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Tell:
    """A breach goes on: its task has to be there."""

    breach: Breach
    task: OpenTask


@dataclass(frozen=True, slots=True)
class SetClass:
    """A class goes up or back down."""

    name: str
    to: ServiceClass
    why: str


Step = Open | Close | Tell | SetClass


def steps(judged: Judged) -> Iterator[Step]:
    """What to do about one agreement in force now. What is done already is not among it, or does no harm again."""
    agreement, at_s = judged.held.agreement, judged.status.at_s
    tasks = tuple(one for one in agreement.on_breach if isinstance(one, OpenTask))
    going_on = {one.objective: one for one in judged.held.breaches if not one.ended_s}
    burning = []
    for one in judged.status.objectives:
        breach = going_on.pop(one.objective.key, None)
        if breach is None and is_breached(one):
            yield Open(agreement.name, one.objective.key, at_s, one.reason)
            burning.append(f"{one.objective.key}: {one.reason}")
        elif breach is not None and is_calm(one) and at_s - breach.started_s >= HOLD_S:
            yield Close(breach, at_s, f"{breach.evidence}\nover: {one.reason}")
        elif breach is not None:
            yield from (Tell(breach, task) for task in tasks)
            burning.append(f"{one.objective.key}: {breach.evidence}")
    for breach in going_on.values():
        yield Close(breach, at_s, f"{breach.evidence}\nover: the objective is agreed no longer")
    yield from _class_steps(judged, burning)


def retired_steps(breaches: Sequence[Breach], now_s: int) -> Iterator[Step]:
    """What to do about the breaches of an agreement that was retired."""
    for one in breaches:
        if not one.ended_s:
            yield Close(one, now_s, f"{one.evidence}\nover: the agreement was retired")


def is_breached(one: ObjectiveStatus) -> bool:
    """Whether the budget is spent too fast, or is spent and goes on being so."""
    return any(burn.burning for burn in one.burns) or (one.health is Health.MISSED and not is_calm(one))


def is_calm(one: ObjectiveStatus) -> bool:
    """Whether nothing burns, and every short window is well below its factor."""
    return not any(burn.burning for burn in one.burns) and all(map(_is_calm, one.burns))


def _is_calm(burn: Burn) -> bool:
    count: Count = burn.short.counted
    allowed = burn.rule.factor * count.total * (WHOLE_PPB - burn.target_ppb)
    return not count.bad or count.bad * WHOLE_PPB * CALM_SHARE < allowed


def _class_steps(judged: Judged, burning: list[str]) -> Iterator[Step]:
    agreement, present = judged.held.agreement, judged.held.service_class
    raised = [one.to for one in agreement.on_breach if isinstance(one, RaiseClass)]
    wanted = min([agreement.service_class, *raised]) if burning else agreement.service_class
    if wanted < present:
        yield SetClass(agreement.name, wanted, _line(burning[0]))
    elif wanted > present and not burning:
        yield SetClass(agreement.name, wanted, "no objective burns its budget any more")


def _line(text: str) -> str:
    """The first line, as long as a reason may be."""
    return text.splitlines()[0][:200]
