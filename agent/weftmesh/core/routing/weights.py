"""Weights for slow effects: where they should be, and the bounded step that takes them there.

Clients that follow weights (xDS) cannot look at each request, so weights move seldom and slowly. A step is a part of
the straight line from the present weights to the target, so it keeps their sum and turns nothing round by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from weftmesh.core.routing.model import Condition, Endpoint, Reading, Row, Settings
from weftmesh.core.routing.steps import Steps

GOOD_POWER: Final = 4.0
"""How much a weight shuns answers that break the agreement."""
SLOW_START_SHARE: Final = 0.1
TAKEN_MAX: Final = 2.0
"""Rather a flap than more than so many times the load at once for those that make none."""
MOVE_MIN: Final = 0.002
"""A smaller move of a weight is none."""
DEAD_BAND_MIN: Final = 0.01
SUM_ERROR: Final = 1e-12
_TIME_MIN_S: Final = 1e-4


def shares(
    endpoints: Sequence[Endpoint], readings: Sequence[Reading | None], ramps: Sequence[float], settings: Settings
) -> Steps[list[float]]:
    """Weights in proportion to what each endpoint can serve well: capacity over working time, times how sure it is.

    In steps, each of which looks once or a few times at all endpoints.

    None is meant to carry more of the present load (Little's law) than `Settings.fill_max` of what it can serve.

    Args:
        endpoints: of a route.
        readings: of each; None is taken for the middle of the others.
        ramps: for each what is let in, 0 to 1; 0 is closed, all others get at least the trickle.
        settings: of the route.

    Returns:
        Weights that sum to 1. Where all are closed, in proportion to capacity.
    """
    known = sorted(one.service_s for one in readings if one is not None)
    middle_s = max(_TIME_MIN_S, known[len(known) // 2]) if known else 1.0
    rates, raw = [], []
    for endpoint, reading, ramp in zip(endpoints, readings, ramps, strict=True):
        service_s = middle_s if reading is None else max(_TIME_MIN_S, reading.service_s)
        sure = 1.0 if reading is None else _good(reading, service_s, settings.threshold_s)
        rates.append(ramp * endpoint.capacity / service_s)
        raw.append(rates[-1] * sure**GOOD_POWER)
    yield
    count = sum(ramp > 0.0 for ramp in ramps)
    if not count:
        return normalised([one.capacity for one in endpoints])
    if math.fsum(raw) <= 0.0:
        return normalised(rates)
    trickle = min(settings.trickle, 0.2 / count)
    wanted = [max(one, trickle) if rate > 0.0 else 0.0 for one, rate in zip(normalised(raw), rates, strict=True)]
    yield
    held = sum(min(one.in_flight, end.capacity) for one, end in zip(readings, endpoints, strict=True) if one)
    return bounded(wanted, [settings.fill_max * rate * middle_s / max(held, 1e-9) for rate in rates])


def bounded(wanted: Sequence[float], limits: Sequence[float]) -> list[float]:
    """Weights that sum to 1 and keep their limits; what is above one goes to the others, by the room that they have.

    Args:
        wanted: weights; a 0 stays 0.
        limits: what each endpoint can carry of the whole; where they sum to less than 1, weights follow them.
    """
    wanted = normalised(wanted)
    limits = [limit if one > 0.0 else 0.0 for one, limit in zip(wanted, limits, strict=True)]
    if math.fsum(limits) <= 1.0:
        return normalised(limits)
    kept = [min(one, limit) for one, limit in zip(wanted, limits, strict=True)]
    room = [limit - one for one, limit in zip(kept, limits, strict=True)]
    part = (1.0 - math.fsum(kept)) / max(math.fsum(room), 1e-12)
    return normalised([one + part * more for one, more in zip(kept, room, strict=True)])


def ramp(row: Row, now_s: float, settings: Settings) -> float:
    """What is let in of an endpoint's share, 0 to 1."""
    if row.condition is Condition.EJECTED:
        return 0.0
    if row.condition is Condition.ACTIVE or settings.slow_start_s <= 0.0:
        return 1.0
    part = max(0.0, now_s - row.since_s) / settings.slow_start_s
    return min(1.0, SLOW_START_SHARE + (1.0 - SLOW_START_SHARE) * part)


def normalised(values: Sequence[float]) -> list[float]:
    """The values over their sum, as they are where that is 1 already; in equal parts where it is 0."""
    total = math.fsum(values)
    if abs(total - 1.0) < SUM_ERROR:
        return list(values)
    return [one / total for one in values] if total > 0.0 else [1.0 / len(values)] * len(values)


def without(
    weights: Sequence[float], targets: Sequence[float], gone: Sequence[bool], turning: Sequence[bool]
) -> list[float]:
    """Take the weight of ejected endpoints away at once and give it to the others, in proportion to theirs.

    Args:
        weights: the present ones.
        targets: where they should go, for when nobody else has a weight.
        gone: who is ejected.
        turning: who would rise so soon after a turn that it makes a flap; they get nothing unless the others, who take
            it, would then have more than TAKEN_MAX times what they had.
    """
    kept = [0.0 if out else one for one, out in zip(weights, gone, strict=True)]
    left = math.fsum(kept)
    if left <= 0.0:
        return list(targets)
    takers = math.fsum(one for one, turns in zip(kept, turning, strict=True) if not turns)
    if takers <= 0.0 or takers + 1.0 - left > TAKEN_MAX * takers:
        return normalised(kept)
    scale = (takers + 1.0 - left) / takers
    return [one if turns else one * scale for one, turns in zip(kept, turning, strict=True)]


def near(weights: Sequence[float], targets: Sequence[float], settings: Settings) -> bool:
    """Whether all weights are within the dead band of their targets."""
    return all(
        abs(target - one) <= max(DEAD_BAND_MIN, settings.dead_band * one) and (target > 0.0 or one == 0.0)
        for one, target in zip(weights, targets, strict=True)
    )


def step(weights: Sequence[float], targets: Sequence[float], step_max: float) -> list[float]:
    """The part of the way to the targets in which no weight moves by more than `step_max`; sums to 1 as they do."""
    largest = max((abs(target - one) for one, target in zip(weights, targets, strict=True)), default=0.0)
    if largest <= step_max:
        return list(targets)
    part = step_max / largest
    return [one + part * (target - one) for one, target in zip(weights, targets, strict=True)]


def held(
    weights: Sequence[float], targets: Sequence[float], stuck: Sequence[tuple[int, bool]]
) -> Steps[list[float] | None]:
    """Targets in which no endpoint turns round that may not.

    Args:
        weights: the present ones.
        targets: where they should go.
        stuck: for each its last direction, and whether it must keep it.

    Returns:
        New targets: endpoints that would turn stay where they are, the others share what is left in the proportions of
        their targets. None when nothing can move.
    """
    fixed = [False] * len(weights)
    for _ in weights:
        left = 1.0 - math.fsum(one for one, stays in zip(weights, fixed, strict=True) if stays)
        free = math.fsum(one for one, stays in zip(targets, fixed, strict=True) if not stays)
        if free <= 0.0:
            return None
        moved = [
            one if stays else target * left / free for one, target, stays in zip(weights, targets, fixed, strict=True)
        ]
        turning = [
            at
            for at, (direction, keeps) in enumerate(stuck)
            if keeps and not fixed[at] and (moved[at] - weights[at]) * direction < 0.0
        ]
        if not turning:
            return moved
        for at in turning:
            fixed[at] = True
        yield
    return None


def _good(reading: Reading, service_s: float, threshold_s: float) -> float:
    slack_s = threshold_s - reading.rtt_s
    in_time = 1.0 - math.exp(-slack_s / service_s) if slack_s > 0.0 else 0.0
    return in_time * (1.0 - reading.bad_lower)
