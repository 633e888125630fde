"""One decision: from readings, orders and the table before to the table after. Pure, so that it can be replayed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from weftmesh.core.routing import ordered as by_order
from weftmesh.core.routing import weights
from weftmesh.core.routing.details import ORDERS, Details
from weftmesh.core.routing.ejecting import conditions
from weftmesh.core.routing.model import NEVER_S, Condition, Inputs, Reading, Reason, Row
from weftmesh.core.routing.steps import ROWS_A_STEP, Steps, whole

STEP_AFTER: Final = 0.9
"""Of the time between two evaluations: who looks every second is now and then a little early."""
SAMPLES_HEARD: Final = 3.0
"""Of an endpoint with fewer requests or probes of late nothing is known yet."""
Policy = Callable[[Inputs, tuple[Row, ...]], tuple[Row, ...]]
"""Computes the table after from the inputs and the table before."""


def decide(inputs: Inputs, before: tuple[Row, ...]) -> tuple[Row, ...]:
    """The table that follows: a row for each of the inputs' endpoints, in their order; the weights sum to 1."""
    return whole(decide_in_steps(inputs, before))


def decide_in_steps(inputs: Inputs, before: tuple[Row, ...]) -> Steps[tuple[Row, ...]]:
    """As `decide`."""
    if not inputs.endpoints:
        return ()
    rows = joined(inputs, before)
    yield
    rows = yield from conditions(inputs, rows)
    yield
    readings = {one.endpoint: one for one in inputs.readings}
    known = [_heard(readings.get(row.endpoint)) for row in rows]
    ramps = [weights.ramp(row, inputs.time_s, inputs.settings) for row in rows]
    yield
    natural = yield from weights.shares(inputs.endpoints, known, ramps, inputs.settings)
    yield
    ordered, targets = by_order.targets(inputs, ramps, natural)
    if not before and inputs.takes_effect:
        # Nothing has to move in steps where nothing was.
        rows = [replace(row, weight=target) for row, target in zip(rows, targets, strict=True)]
    now = [row.weight for row in rows]
    gone = [row.condition is Condition.EJECTED and not target for row, target in zip(rows, targets, strict=True)]
    forced = weights.without(now, targets, gone, _falling(inputs, rows, ordered, targets)) if any(gone) else now
    pressing = any(one and target != weight for one, target, weight in zip(ordered, targets, forced, strict=True))
    yield
    reached, held = yield from _moved(inputs, rows, forced, targets, pressing)
    details = Details(inputs)
    after = []
    for at, row in enumerate(rows):
        if not at % ROWS_A_STEP:
            yield
        let_in = ramps[at], natural[at]
        after.append(_row(inputs, details, row, known[at], reached[at], targets[at], let_in, ordered[at], held[at]))
    return tuple(after)


def _heard(reading: Reading | None) -> Reading | None:
    """The reading, unless next to nothing stands behind it."""
    return reading if reading is not None and reading.samples >= SAMPLES_HEARD else None


def kept(inputs: Inputs, before: Sequence[Row], after: Sequence[Row]) -> tuple[Row, ...]:
    """See `kept_in_steps`."""
    return whole(kept_in_steps(inputs, before, after))


def kept_in_steps(inputs: Inputs, before: Sequence[Row], after: Sequence[Row]) -> Steps[tuple[Row, ...]]:
    """What is in force after a decision that takes no effect: the weights of before, the conditions of after.

    An endpoint that was not there before gets its part of the capacity, under a freeze nothing unless all are new.
    """
    if not after:
        return ()
    old = {row.endpoint: row for row in before}
    capacity, nothing = sum(one.capacity for one in inputs.endpoints), inputs.frozen and before
    parts = [0.0 if nothing else one.capacity / capacity for one in inputs.endpoints]
    new = math.fsum(part for part, row in zip(parts, after, strict=True) if row.endpoint not in old)
    there = math.fsum(old[row.endpoint].weight for row in after if row.endpoint in old)
    scale = (1.0 - new) / there if there > 0.0 else 0.0
    values = [
        old[row.endpoint].weight * scale if row.endpoint in old else part
        for row, part in zip(after, parts, strict=True)
    ]
    values = weights.normalised(values)
    rows = []
    for at, row in enumerate(after):
        if not at % ROWS_A_STEP:
            yield
        rows.append(_unmoved(row, old.get(row.endpoint), values[at]))
    return tuple(rows)


def _unmoved(row: Row, old: Row | None, weight: float) -> Row:
    """The row with the weight and the moves of before. Built in one go, see `_row`."""
    admission, moves = (1.0, (0, NEVER_S, NEVER_S)) if old is None else (old.admission, _moves(old))
    return Row(
        row.endpoint,
        weight,
        row.target,
        admission,
        row.condition,
        row.reason,
        row.detail,
        row.since_s,
        row.until_s,
        row.ejections,
        *moves,
    )


def _moves(row: Row) -> tuple[int, float, float]:
    return row.direction, row.moved_s, row.turned_s


def joined(inputs: Inputs, before: Sequence[Row]) -> list[Row]:
    """The rows of before for the endpoints of now. One that is new to a table begins slowly, a new table does not."""
    old = {row.endpoint: row for row in before}
    now_s = inputs.time_s
    beginning = Condition.RETURNING if any(one.name in old for one in inputs.endpoints) else Condition.ACTIVE
    rows = [
        old.get(one.name) or Row(one.name, 0.0, 0.0, condition=beginning, since_s=now_s) for one in inputs.endpoints
    ]
    if not any(row.weight for row in rows):
        values = weights.normalised([one.capacity for one in inputs.endpoints])
        return [replace(row, weight=value) for row, value in zip(rows, values, strict=True)]
    values = weights.normalised([row.weight for row in rows])
    return [row if row.weight == value else replace(row, weight=value) for row, value in zip(rows, values, strict=True)]


def _moved(
    inputs: Inputs, rows: Sequence[Row], now: Sequence[float], targets: Sequence[float], pressing: bool
) -> Steps[tuple[list[float], list[bool]]]:
    """The weights after a bounded step, and which of them were held back; orders that are under way hold nothing."""
    nothing = [False] * len(rows)
    if by_order.settled(inputs, now, targets) or _has_just_moved(inputs, rows):
        return list(now), nothing
    aim: Sequence[float] | None = targets
    if not pressing:
        aim = yield from weights.held(now, targets, [(row.direction, _stuck(inputs, row)) for row in rows])
    if aim is None:
        return list(now), [True] * len(rows)
    held = [
        at_target != aimed and abs(at_target - one) > weights.MOVE_MIN and aimed == one
        for at_target, aimed, one in zip(targets, aim, now, strict=True)
    ]
    return weights.step(now, aim, inputs.settings.step_max), held


def _has_just_moved(inputs: Inputs, rows: Sequence[Row]) -> bool:
    """Bad news is looked at sooner than every `Settings.evaluation_s`, and steps must not come sooner for it."""
    latest_s = max((row.moved_s for row in rows), default=NEVER_S)
    return 0.0 <= inputs.time_s - latest_s < STEP_AFTER * inputs.settings.evaluation_s


def _falling(
    inputs: Inputs, rows: Sequence[Row], ordered: Sequence[Reason | None], targets: Sequence[float]
) -> list[bool]:
    """Who should not rise because others are ejected: it would be a flap, or against an order."""
    soon_s = inputs.time_s - inputs.settings.turn_s
    return [
        (row.direction < 0 and row.turned_s > soon_s) or (one is not None and target == 0.0)
        for row, one, target in zip(rows, ordered, targets, strict=True)
    ]


def _stuck(inputs: Inputs, row: Row) -> bool:
    now_s, settings = inputs.time_s, inputs.settings
    return now_s - row.moved_s < settings.hold_down_s or now_s - row.turned_s < settings.turn_s


def _row(
    inputs: Inputs,
    details: Details,
    row: Row,
    reading: Reading | None,
    weight: float,
    target: float,
    let_in: tuple[float, float],
    ordered: Reason | None,
    held: bool,
) -> Row:
    """The new row. Built in one go, since each `replace` costs as much as all the rest of a decision."""
    change = weight - row.weight
    direction, moved_s, turned_s = row.direction, row.moved_s, row.turned_s
    if abs(change) >= weights.MOVE_MIN:
        direction, moved_s = (1 if change > 0.0 else -1), inputs.time_s
        turned_s = moved_s if direction == -row.direction else turned_s
    reason = _reason(row, ordered, held)
    if row.detail and change == 0.0 and reason is row.reason and reason not in ORDERS:
        detail = row.detail
    else:
        detail = details.of(row, reading, target, reason)
    return Row(
        row.endpoint,
        weight,
        target,
        _admission(weight, *let_in, ordered),
        row.condition,
        reason,
        detail,
        row.since_s,
        row.until_s,
        row.ejections,
        direction,
        moved_s,
        turned_s,
    )


def _reason(row: Row, ordered: Reason | None, held: bool) -> Reason:
    """Shares are ordered for all endpoints: where one gets another weight than its share, why is worth more."""
    plain = row.reason in (Reason.SHARE, Reason.WEIGHED)
    if ordered is not None and (plain or ordered is not Reason.WEIGHED):
        return ordered
    if plain:
        return Reason.HELD if held else Reason.SHARE
    return row.reason


def _admission(weight: float, ramp: float, natural: float, ordered: Reason | None) -> float:
    """For who chooses per request: orders empty an endpoint as its weight falls, all else follows the ramp."""
    if ordered is None:
        return ramp
    if weight <= 0.0:
        return 0.0
    return min(1.0, weight / natural) if natural > 0.0 else 1.0
