"""Agreements, plans and their state as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from weftmesh.cli.learning_text import stamp_text
from weftmesh.client.ola_status import Judged
from weftmesh.core.ola import plan_words as words
from weftmesh.core.ola.calendar import OUTSIDE_HOURS, LeftOut
from weftmesh.core.ola.model import Agreement, Exclusion
from weftmesh.core.ola.plan import Added, Affected, Change, Changed, Plan
from weftmesh.core.ola.plan_changes import exclusion_text
from weftmesh.core.ola.replicated.outcomes import OlaEvent
from weftmesh.core.ola.replicated.rows import WINDOW_S
from weftmesh.core.ola.status import Health, ObjectiveStatus
from weftmesh.ola.v1 import ola_pb2


def change_lines(change: Change) -> Iterator[str]:
    """A line for the agreement, and one for each field that would differ."""
    if not isinstance(change, Changed):
        yield f"{'+' if isinstance(change, Added) else '-'} {change.name}"
        return
    yield f"~ {change.name}"
    for one in change.fields:
        yield f"    {one.field}: {one.before or 'nothing'} -> {one.after or 'nothing'}"


def affected_line(one: Affected) -> str:
    """What an agreement that stays can count on then."""
    before, after = ("unknown" if share is None else words.percent_below(share) for share in (one.before, one.after))
    change = f"{after} as now" if one.before == one.after else f"{after}, now {before}"
    return f"  {one.name} needs it ({' > '.join(one.path)}): the most that its dependencies give is {change}"


def plan_json(plan: Plan, problems: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """All of a plan; `problems` with their places in files, where they have one."""
    changes: list[dict[str, Any]] = []
    for change in plan.changes:
        fields = change.fields if isinstance(change, Changed) else ()
        changes.append(
            {
                "name": change.name,
                "change": type(change).__name__.lower(),
                "fields": [{"field": one.field, "before": one.before, "after": one.after} for one in fields],
            }
        )
    affected = [
        {"name": one.name, "path": list(one.path), "before": _number(one.before), "after": _number(one.after)}
        for one in plan.affected
    ]
    return {
        "applicable": plan.applicable,
        "changes": changes,
        "affected": affected,
        "problems": list(problems),
    }


def status_row(judged: Judged, one: ObjectiveStatus) -> list[str]:
    """One objective in the columns of `weftmesh ola status`."""
    rates = {burn.rule.long_s: burn for burn in one.burns}
    return [
        judged.held.generation.name,
        one.objective.key,
        words.percent(one.objective.target_ppb),
        one.health.name.lower().replace("_", " "),
        share(one.budget.attained, words.percent_digits(one.objective.target_ppb) + 1),
        share(one.budget.left),
        share(one.budget_with_everything.left),
        *(_rate(rates[long_s].rate, low=rates[long_s].low_traffic) if long_s in rates else "" for long_s in RATES_S),
        confirmed(judged.history),
    ]


STALE_S = 4 * WINDOW_S
"""Nodes that count write a window every five minutes."""
RATES_S = (3_600, 6 * 3_600, 72 * 3_600)
"""The long windows whose burn rates are shown."""


def status_json(judged: Judged) -> dict[str, Any]:
    """One agreement's state."""
    return {
        "name": judged.held.generation.name,
        "generation": judged.held.generation.number,
        "class": judged.held.service_class.name.lower(),
        "class_raised_why": judged.held.standing.raised_why,
        "at_s": judged.status.at_s,
        "health": judged.status.health.name.lower(),
        "objectives": [_objective_json(one) for one in judged.status.objectives],
        "missing_confirmations": [{"node": one.node, "starts_s": one.starts_s} for one in judged.history.missing],
        "confirmations": [
            {"node": one.node, "starts_s": one.starts_s, "verdict": VERDICTS.get(one.verdict, ""), "why": one.why}
            for one in judged.history.checks
        ],
    }


VERDICTS = {
    ola_pb2.SIGNATURE_VERDICT_GENUINE: "genuine",
    ola_pb2.SIGNATURE_VERDICT_WRONG: "wrong",
    ola_pb2.SIGNATURE_VERDICT_UNKNOWN: "unknown",
}


def confirmed(history: ola_pb2.History) -> str:
    """How many of the last hour's windows their nodes signed, and what is wrong with the others."""
    if not history.windows:
        return "-"
    verdicts = Counter(VERDICTS.get(one.verdict, "unknown") for one in history.checks)
    signed = f"{verdicts['genuine']} of {len(history.windows)}"
    others = [f"{verdicts[one]} {one}" for one in ("wrong", "unknown") if verdicts[one]]
    return ", ".join([signed, *others])


def doubt_lines(history: ola_pb2.History) -> Iterator[str]:
    """A line for each node whose confirmations are not genuine, or cannot be told to be."""
    doubts = Counter((one.node, one.verdict, one.why) for one in history.checks if one.why)
    for (node, verdict, why), windows in sorted(doubts.items()):
        yield f"{node}: the signatures of {windows} windows are {VERDICTS.get(verdict, 'unknown')}: {why}"


def _objective_json(one: ObjectiveStatus) -> dict[str, Any]:
    return {
        "objective": one.objective.key,
        "target_ppb": one.objective.target_ppb,
        "health": one.health.name.lower(),
        "reason": one.reason,
        "good": one.budget.count.good,
        "total": one.budget.count.total,
        "attained": _number(one.budget.attained),
        "budget_left": _number(one.budget.left),
        "budget_left_with_everything": _number(one.budget_with_everything.left),
        "measured_s": one.measured_s,
        "budget_ends_at_s": one.ends.at_s if one.ends is not None else None,
        "burns": [
            {
                "long_s": burn.rule.long_s,
                "short_s": burn.rule.short_s,
                "factor": float(burn.rule.factor),
                "rate": _number(burn.rate),
                "rate_with_everything": _number(burn.rate_with_everything),
                "burning": burn.burning,
                "low_traffic": burn.low_traffic,
            }
            for burn in one.burns
        ],
    }


def stale_line(judged: Judged) -> str:
    """What to know before numbers are read as those of now; empty if they are."""
    newest_s, at_s = judged.history.newest_s, judged.status.at_s
    if not newest_s:
        return "no node has counted anything yet"
    if newest_s + STALE_S >= at_s:
        return ""
    return f"no node has counted anything since {moment(newest_s + WINDOW_S)}: the numbers are of before"


def end_line(one: ObjectiveStatus) -> str:
    """When the budget would end; empty if it lasts."""
    ends = one.ends
    if ends is None or one.health in (Health.MISSED, Health.NO_DATA):
        return ""
    return (
        f"  at {_rate(ends.rate, low=False)} over {words.seconds(ends.over_s)} the budget ends at {moment(ends.at_s)}"
    )


def exclusion_line(number: int, one: Exclusion) -> str:
    """An exclusion that was added to an agreement."""
    return f"exclusion {number}: {exclusion_text(one)}"


def event_line(one: OlaEvent) -> str:
    """Something that happened to an agreement."""
    what = one.verb.name.lower().replace("_", " ")
    generation = f" generation {one.generation}" if one.generation else ""
    note = f": {one.note}" if one.note else ""
    return f"{stamp_text(one.stamp)} {what}{generation} by {one.actor}{note}"


def left_out_lines(left_out: Sequence[LeftOut], most: int) -> Iterator[str]:
    """What does not count: closed hours as a sum, since there are many of them, and the newest of the exclusions."""
    closed_s = sum(one.span.length_s for one in left_out if one.reason == OUTSIDE_HOURS)
    excluded = [one for one in left_out if one.reason != OUTSIDE_HOURS]
    if closed_s:
        yield f"not counted: {closed_s / 3_600:.1f} h {OUTSIDE_HOURS}"
    for one in excluded[-most:]:
        yield f"not counted: {moment(one.span.start_s)} to {moment(one.span.end_s)}, {one.reason}"
    if len(excluded) > most:
        yield f"and {len(excluded) - most} times before"


def moment(unix_s: int) -> str:
    """In UTC, to the minute."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%MZ}"


def summary(agreement: Agreement) -> str:
    """What it promises, in a few words."""
    return ", ".join(f"{one.key} {words.percent(one.target_ppb)}" for one in agreement.objectives)


def share(value: Fraction | None, digits: int = 2) -> str:
    """As percent, cut and not rounded: what misses its target by little must not look as if it met it; - for none."""
    return "-" if value is None else words.percent_below(value, max(2, digits))


def _rate(value: Fraction | None, *, low: bool) -> str:
    text = "-" if value is None else f"{float(value):.1f}x"
    return f"{text} (few)" if low else text


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
