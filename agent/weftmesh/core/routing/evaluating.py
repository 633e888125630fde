"""What a decision does to a route: the table in force, what is only proposed, when to look again, and who is told."""

from __future__ import annotations

from operator import attrgetter, eq, ne
from typing import Final

from weftmesh.core.routing.deciding import decide_in_steps, kept_in_steps
from weftmesh.core.routing.events import Decided, Effect, Suggested, TableChanged
from weftmesh.core.routing.model import Condition, Decision, Inputs, Mode, Row
from weftmesh.core.routing.ordered import settled
from weftmesh.core.routing.route import Route
from weftmesh.core.routing.steps import Steps

PROPOSAL_MIN: Final = 0.01
"""What is only proposed is recorded again when a weight of it differs by this much."""


def evaluate(
    route: Route, now_s: float, rows_kept: int, *, rows_must_change: bool = False
) -> Steps[tuple[Effect, ...]]:
    """Decide anew, and put it in force if the route's mode says so.

    Args:
        route: is changed.
        now_s: in the clock of the table machine.
        rows_kept: in all decisions that the route remembers.
        rows_must_change: record the decision even if it says what the last one said.
    """
    inputs = route.inputs(now_s)
    before = route.rows
    yield
    after = yield from decide_in_steps(inputs, before)
    yield
    in_force = after if inputs.takes_effect else (yield from kept_in_steps(inputs, before, after))
    yield
    route.deadline_s = _deadline(inputs, in_force, after)
    yield
    unchanged = _same(in_force, before) and (inputs.takes_effect or _alike(after, route.proposed))
    if unchanged and not rows_must_change:
        # What no log shows must leave no trace, or a replay of the log would go another way.
        return ()
    yield
    route.rows, route.proposed = in_force, after
    decision = _remember(route, inputs, before, after, rows_kept)
    effects: list[Effect] = [Decided(route.name, decision)]
    if _weights_differ(in_force, before):
        route.version += 1
        effects.append(TableChanged(route.name, route.version, in_force))
    if route.mode is Mode.SUGGEST:
        effects.append(Suggested(route.name, decision))
    return tuple(effects)


def _remember(
    route: Route, inputs: Inputs, before: tuple[Row, ...], after: tuple[Row, ...], rows_kept: int
) -> Decision:
    route.decided += 1
    decision = Decision(route.decided, inputs, before, after)
    route.decisions.append(decision)
    while len(route.decisions) > max(1, rows_kept // len(after)):
        route.decisions.popleft()
    return decision


def _deadline(inputs: Inputs, in_force: tuple[Row, ...], after: tuple[Row, ...]) -> float | None:
    """When the table would change although nothing happens."""
    soon_s = inputs.time_s + inputs.settings.evaluation_s
    moving = not settled(inputs, [row.weight for row in in_force], [row.target for row in after])
    if moving or any(row.condition is Condition.RETURNING for row in after):
        return soon_s
    ends = [row.until_s for row in after if row.condition is Condition.EJECTED]
    return max(soon_s, min(ends)) if ends else None


def _same(one: tuple[Row, ...], other: tuple[Row, ...]) -> bool:
    """Whether two tables differ in words and aims only."""
    return len(one) == len(other) and all(map(eq, map(_plain, one), map(_plain, other)))


def _alike(one: tuple[Row, ...], other: tuple[Row, ...]) -> bool:
    """Whether two proposals say the same to people."""
    return len(one) == len(other) and all(
        (row.endpoint, row.condition, row.reason) == (was.endpoint, was.condition, was.reason)
        and abs(row.weight - was.weight) < PROPOSAL_MIN
        for row, was in zip(one, other, strict=True)
    )


def _weights_differ(one: tuple[Row, ...], other: tuple[Row, ...]) -> bool:
    return len(one) != len(other) or any(map(ne, map(_weight, one), map(_weight, other)))


_plain: Final = attrgetter(
    *("endpoint", "weight", "admission", "condition", "reason", "since_s", "until_s", "ejections"),
    *("direction", "moved_s", "turned_s"),
)
_weight: Final = attrgetter("endpoint", "weight", "admission")
