"""How an agreement is doing: each objective's budget, how fast it is spent, and when it would end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from fractions import Fraction
from math import floor

from weftmesh.core.ola import plan_words as words
from weftmesh.core.ola.budget import ErrorBudget
from weftmesh.core.ola.budget_parts import Part, Timeline
from weftmesh.core.ola.burn import BudgetEnd, Burn, budget_end, burns
from weftmesh.core.ola.calendar import Calendar
from weftmesh.core.ola.model import Agreement, Exclusion, Objective
from weftmesh.core.ola.problems import COUNT_PART_S
from weftmesh.core.records import record


class Health(IntEnum):
    """An objective in a word; the first that is true."""

    NO_DATA = 1
    """Nothing was counted over the window, or all of it was left out."""
    MISSED = 2
    """More is bad than the window allows."""
    BURNING = 3
    """The budget is spent too fast."""
    LOW_TRAFFIC = 4
    """Too few events to tell how fast it is spent."""
    MET = 5


@record(frozen=True, slots=True)
class ObjectiveStatus:
    """One objective.

    Attributes:
        objective: what was promised.
        health: in a word.
        budget: of what counts.
        budget_with_everything: the same if nothing were left out.
        burns: each rule that fits into the window, the quickest first.
        ends: when the budget ends at the present rate, if it does.
        measured_s: how long the parts of the window are in which something was counted.
    """

    objective: Objective
    health: Health
    budget: ErrorBudget
    budget_with_everything: ErrorBudget
    burns: tuple[Burn, ...]
    ends: BudgetEnd | None
    measured_s: int

    @property
    def reason(self) -> str:
        """The health in a sentence."""
        spent = None if self.budget.left is None else 1 - self.budget.left
        used = "" if spent is None else f"{_percent(spent)} of the error budget is spent"
        match self.health:
            case Health.NO_DATA:
                left_out = self.budget_with_everything.count.total
                return f"all {left_out} events are left out" if left_out else "nothing was counted over the window"
            case Health.MISSED:
                count = self.budget.count
                return f"{count.bad} of {count.total} events were bad, {floor(self.budget.allowed_bad)} may be"
            case Health.BURNING:
                one = next(one for one in self.burns if one.burning)
                spans = " and ".join(words.seconds(span_s) for span_s in (one.rule.long_s, one.rule.short_s))
                rate = "" if one.rate is None else f", {_times(one.rate)} over {words.seconds(one.rule.long_s)}"
                return f"it burns more than {_times(one.rule.factor)} over {spans}{rate}; {used}"
            case Health.LOW_TRAFFIC:
                return f"too few events to tell how fast it is spent; {used}"
            case Health.MET:
                return used


@record(frozen=True, slots=True)
class AgreementStatus:
    """One agreement at one moment; its objectives are in its order."""

    name: str
    at_s: int
    """The end of the last whole part of five minutes."""
    objectives: tuple[ObjectiveStatus, ...]

    @property
    def health(self) -> Health:
        """Of the objective that is off worst: missed, burning, low traffic, no data, met."""
        order = (Health.MISSED, Health.BURNING, Health.LOW_TRAFFIC, Health.NO_DATA, Health.MET)
        return min((one.health for one in self.objectives), key=order.index, default=Health.NO_DATA)


def agreement_status(
    agreement: Agreement,
    parts: Callable[[str, int, int], Iterable[Part]],
    now_s: int,
    exclusions_added: Iterable[Exclusion] = (),
) -> AgreementStatus:
    """How an agreement is doing.

    Args:
        agreement: whose objectives are judged.
        parts: what was counted, by an objective's key, between two moments of Unix time.
        now_s: Unix time; the part of five minutes that still goes on is left out.
        exclusions_added: beside the agreement's own.

    Raises:
        InvalidInputError: a time zone, a time or a rule of the agreement cannot be read.
    """
    end_s = now_s // COUNT_PART_S * COUNT_PART_S
    start_s = end_s - agreement.window_s
    calendar = Calendar(agreement.hours, (*agreement.exclusions, *exclusions_added))
    found = [tuple(parts(one.key, start_s, end_s)) for one in agreement.objectives]
    counting = calendar.counted(
        min((part.starts_s for of_one in found for part in of_one), default=end_s),
        max((part.starts_s + part.part_s for of_one in found for part in of_one), default=end_s),
    )
    objectives = [
        _objective(one, agreement.window_s, Timeline(of_one, counting), end_s)
        for one, of_one in zip(agreement.objectives, found, strict=True)
    ]
    return AgreementStatus(agreement.name, end_s, tuple(objectives))


def _objective(objective: Objective, window_s: int, timeline: Timeline, end_s: int) -> ObjectiveStatus:
    start_s = end_s - window_s
    counts = timeline.counts(start_s, end_s)
    budget = ErrorBudget(counts.counted, objective.target_ppb)
    rates = burns(objective.target_ppb, window_s, end_s, timeline.counts)
    return ObjectiveStatus(
        objective=objective,
        health=_health(budget, rates),
        budget=budget,
        budget_with_everything=ErrorBudget(counts.everything, objective.target_ppb),
        burns=rates,
        ends=budget_end(budget, rates, window_s, end_s),
        measured_s=timeline.measured_s(start_s, end_s),
    )


def _health(budget: ErrorBudget, rates: Iterable[Burn]) -> Health:
    if not budget.count.total:
        return Health.NO_DATA
    if not budget.met:
        return Health.MISSED
    if any(one.burning for one in rates):
        return Health.BURNING
    return Health.LOW_TRAFFIC if all(one.low_traffic for one in rates) else Health.MET


def _percent(share: Fraction) -> str:
    """Cut, not rounded: what is not all spent is never said to be."""
    return f"{floor(share * 1000) / 10:.1f} %"


def _times(rate: Fraction) -> str:
    return f"{float(rate):.1f}x"
