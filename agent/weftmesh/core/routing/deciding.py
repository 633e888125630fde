"""One decision: from readings, orders and the table before to the table after. Pure, so that it can be replayed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from weftmesh.core.routing import ordered as by_order
from weftmesh.core.routing import weights
from weftmesh.core.routing.ejecting import conditions
from weftmesh.core.routing.model import NEVER_S, Condition, Inputs, OverrideKind, Reading, Reason, Row

STEP_AFTER: Final = 0.9
"""Of the time between two evaluations: who looks every second is now and then a little early."""
SAMPLES_HEARD: Final = 3.0
"""Of an endpoint with fewer requests or probes of late nothing is known yet."""
Policy = Callable[[Inputs, tuple[Row, ...]], tuple[Row, ...]]
"""Computes the table after from the inputs and the table before."""


def decide(inputs: Inputs, before: tuple[Row, ...]) -> tuple[Row, ...]:
    """The table that follows: a row for each of the inputs' endpoints, in their order; the weights sum to 1."""
    if not inputs.endpoints:
        return ()
    rows = conditions(inputs, joined(inputs, before))
    readings = {one.endpoint: one for one in inputs.readings}
    known = [_heard(readings.get(row.endpoint)) for row in rows]
    ramps = [weights.ramp(row, inputs.time_s, inputs.settings) for row in rows]
    natural = weights.shares(inputs.endpoints, known, ramps, inputs.settings)
    ordered, targets = by_order.targets(inputs, ramps, natural)
    if not before and inputs.takes_effect:
        # Nothing has to move in steps where nothing was.
        rows = [replace(row, weight=target) for row, target in zip(rows, targets, strict=True)]
    now = [row.weight for row in rows]
    gone = [row.condition is Condition.EJECTED and not target for row, target in zip(rows, targets, strict=True)]
    forced = weights.without(now, targets, gone, _falling(inputs, rows, ordered, targets)) if any(gone) else now
    pressing = any(one and target != weight for one, target, weight in zip(ordered, targets, forced, strict=True))
    reached, held = _moved(inputs, rows, forced, targets, pressing)
    return tuple(
        _row(inputs, row, known[at], reached[at], targets[at], (ramps[at], natural[at]), ordered[at], held[at])
        for at, row in enumerate(rows)
    )


def _heard(reading: Reading | None) -> Reading | None:
    """The reading, unless next to nothing stands behind it."""
    return reading if reading is not None and reading.samples >= SAMPLES_HEARD else None


def kept(inputs: Inputs, before: Sequence[Row], after: Sequence[Row]) -> tuple[Row, ...]:
    """What is in force after a decision that takes no effect: the weights of before, the conditions of after.

    An endpoint that was not there before gets its part of the capacity, under a freeze nothing unless all are new.
    """
    if not after:
        return ()
    old = {row.endpoint: row for row in before}
    capacity = sum(one.capacity for one in inputs.endpoints)
    parts = [0.0 if inputs.frozen and before else one.capacity / capacity for one in inputs.endpoints]
    new = math.fsum(part for part, row in zip(parts, after, strict=True) if row.endpoint not in old)
    there = math.fsum(old[row.endpoint].weight for row in after if row.endpoint in old)
    scale = (1.0 - new) / there if there > 0.0 else 0.0
    values = [
        old[row.endpoint].weight * scale if row.endpoint in old else part
        for row, part in zip(after, parts, strict=True)
    ]
    return tuple(
        _unmoved(row, old.get(row.endpoint), weight)
        for row, weight in zip(after, weights.normalised(values), strict=True)
    )


def _unmoved(row: Row, old: Row | None, weight: float) -> Row:
    if old is None:
        return replace(row, weight=weight, admission=1.0, direction=0, moved_s=NEVER_S, turned_s=NEVER_S)
    return replace(
        row,
        weight=weight,
        admission=old.admission,
        direction=old.direction,
        moved_s=old.moved_s,
        turned_s=old.turned_s,
    )


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
) -> tuple[list[float], list[bool]]:
    """The weights after a bounded step, and which of them were held back; orders that are under way hold nothing."""
    nothing = [False] * len(rows)
    if by_order.settled(inputs, now, targets) or _has_just_moved(inputs, rows):
        return list(now), nothing
    aim: Sequence[float] | None = targets
    if not pressing:
        aim = weights.held(now, targets, [(row.direction, _stuck(inputs, row)) for row in rows])
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
    if row.detail and change == 0.0 and reason is row.reason and reason not in _ORDERS:
        detail = row.detail
    else:
        detail = _detail(inputs, row, reading, target, reason)
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


def _detail(inputs: Inputs, row: Row, reading: Reading | None, target: float, reason: Reason) -> str:
    """The reason that people are shown."""
    seen = "too little heard yet" if reading is None else _seen(reading)
    if reason in _ORDERS:
        going = f"; goes to {target * 100.0:.4g} %" if reason is Reason.WEIGHED else ""
        return f"{_order(inputs, row.endpoint, _ORDERS[reason])}{going}; {seen}"
    if row.condition is Condition.EJECTED:
        times = "" if row.ejections == 1 else f", time {row.ejections}"
        return f"{seen}; out for {row.until_s - row.since_s:.0f} s at least{times}"
    if reason is Reason.HELD:
        return f"{seen}; wanted {target:.3f}, moved too recently"
    return seen


def _order(inputs: Inputs, endpoint: str, kind: OverrideKind) -> str:
    """Who ordered it, and why."""
    found = [one for one in inputs.overrides if one.kind is kind]
    order = next((one for one in found if one.endpoint == endpoint), found[0])
    return f"{order.actor}: {order.why}"


def _seen(reading: Reading) -> str:
    state = "" if reading.alive else ", no probe answered"
    return (
        f"works {reading.service_s * 1e3:.1f} ms, {reading.rtt_s * 1e3:.1f} ms away, "
        f"surely {reading.bad_lower:.1%} bad of {reading.samples:.0f}, holds {reading.in_flight:.0f}{state}"
    )


_ORDERS: Final = {
    Reason.DRAINED: OverrideKind.DRAIN,
    Reason.PINNED: OverrideKind.PIN,
    Reason.WEIGHED: OverrideKind.WEIGH,
}
