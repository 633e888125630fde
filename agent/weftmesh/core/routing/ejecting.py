"""Who gets no requests for a while: conditions of endpoints, with every limit computed after the step.

An endpoint is ejected when surely too many of its requests go bad, or when it answers no probes. It is not ejected when
it is the last one that may be used, when as many as `Settings.max_ejection_percent` allows are ejected already, or when
those that are left and well could not carry the load: then it keeps its place, and per-request penalties do what can be
done. So nobody is ejected where everybody looks bad, as when this node's own network is at fault. An ejection ends when
its time is over, the endpoint looks well again and the move up does not make a flap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from weftmesh.core.routing.model import Condition, Endpoint, Inputs, Reading, Reason, Row, Settings
from weftmesh.core.routing.ordered import closed
from weftmesh.core.routing.steps import Steps

SAMPLES_MIN: Final = 5.0
"""Fewer requests say nothing."""
EJECTIONS_MAX: Final = 10
"""An ejection lasts at most so many times `Settings.ejection_s`."""
RECALL_FILL: Final = 0.95
"""Above this part of the remaining capacity ejections end early. They leave more room, so the two do not alternate."""


def conditions(inputs: Inputs, rows: Sequence[Row]) -> Steps[list[Row]]:
    """The rows with their conditions as of now, in steps.

    Args:
        inputs: what the decision is computed from.
        rows: one for each of `inputs.endpoints`, in that order; weights are not looked at.
    """
    readings = {one.endpoint: one for one in inputs.readings}
    usable = {one.name for one in inputs.endpoints} - closed(inputs)
    after = [_advanced(inputs, row, readings.get(row.endpoint)) for row in rows]
    yield
    _call_back(inputs, after, usable, readings)
    yield
    _eject(inputs, after, usable, readings)
    return after


def _call_back(inputs: Inputs, rows: list[Row], usable: set[str], readings: Mapping[str, Reading]) -> None:
    """End ejections early, the least bad first, while what is left keeps no limit: others came, went or filled up."""
    out = sorted(_places(rows, Condition.EJECTED), key=lambda at: _badness(rows[at], readings))
    if not out:
        return
    left = usable - {rows[at].endpoint for at in out}
    capacities = {one.name: one.capacity for one in inputs.endpoints}
    capacity = sum(one.capacity for one in inputs.endpoints if one.name in left)
    held, limit = load(inputs.endpoints, readings), ejections_max(len(rows), inputs.settings)
    while out:
        if not left:
            found = next((at for at in out if rows[at].endpoint in usable), None)
        elif len(out) > limit:
            found = out[0]
        elif held > RECALL_FILL * capacity:
            # Who answers no probes cannot carry anything.
            found = next((at for at in out if _lives(rows[at], readings)), None)
        else:
            return
        if found is None:
            return
        out.remove(found)
        rows[found] = replace(rows[found], condition=Condition.RETURNING, reason=Reason.CAPACITY, since_s=inputs.time_s)
        if (name := rows[found].endpoint) in usable:
            left.add(name)
            capacity += capacities[name]


def _eject(inputs: Inputs, rows: list[Row], usable: set[str], readings: Mapping[str, Reading]) -> None:
    """Eject who should be, the worst first; each limit looks at the table as it would be afterwards."""
    wanted = [at for at, row in enumerate(rows) if _is_wanted(inputs, row, readings)]
    if not wanted:
        return
    wanted.sort(key=lambda at: _badness(rows[at], readings), reverse=True)
    out = {rows[at].endpoint for at in _places(rows, Condition.EJECTED)}
    left, limit = usable - out, ejections_max(len(rows), inputs.settings)
    # Who is ejected below is not well, so those that are stay the same.
    well = left - {rows[at].endpoint for at in wanted}
    room = bool(well) and carries(inputs, well, readings, inputs.settings.fill_max)
    for at in wanted:
        name = rows[at].endpoint
        if left <= {name} or len(out) >= limit:
            rows[at] = replace(rows[at], reason=Reason.EJECTION_LIMIT, detail="")
        elif readings[name].alive and not room:
            rows[at] = replace(rows[at], reason=Reason.CAPACITY, detail="")
        else:
            rows[at] = _ejected(inputs, rows[at], readings)
            out.add(name)
            left.discard(name)


def _places(rows: Sequence[Row], condition: Condition) -> list[int]:
    return [at for at, row in enumerate(rows) if row.condition is condition]


def load(endpoints: Sequence[Endpoint], readings: Mapping[str, Reading]) -> float:
    """Requests that are worked on at once, on all endpoints together: what remains has to carry it (Little's law)."""
    return sum(min(readings[one.name].in_flight, one.capacity) for one in endpoints if one.name in readings)


def carries(inputs: Inputs, left: set[str], readings: Mapping[str, Reading], fill_max: float) -> bool:
    """Whether the load fills at most this part of what the endpoints that are left can hold."""
    capacity = sum(one.capacity for one in inputs.endpoints if one.name in left)
    return load(inputs.endpoints, readings) <= fill_max * capacity


def _advanced(inputs: Inputs, row: Row, reading: Reading | None) -> Row:
    """What time alone does to a row."""
    now_s, settings = inputs.time_s, inputs.settings
    if row.condition is Condition.EJECTED:
        well = reading is None or (reading.alive and reading.bad_lower <= settings.eject_bad_lower)
        steady = now_s - row.turned_s >= settings.turn_s and now_s - row.moved_s >= settings.hold_down_s
        if now_s >= row.until_s and well and steady:
            return replace(row, condition=Condition.RETURNING, reason=Reason.SLOW_START, since_s=now_s, detail="")
        if row.reason in (Reason.DEAD, Reason.ERRORS):
            return row
        # An order stood in place of the cause, and may be over by now.
        dead = reading is not None and not reading.alive
        return replace(row, reason=Reason.DEAD if dead else Reason.ERRORS, detail="")
    if row.condition is Condition.RETURNING and now_s - row.since_s >= settings.slow_start_s:
        return replace(row, condition=Condition.ACTIVE, reason=Reason.SHARE, since_s=now_s, detail="")
    if row.condition is Condition.RETURNING:
        # Who was called back stays until it had its chance.
        reason = Reason.CAPACITY if row.reason is Reason.CAPACITY else Reason.SLOW_START
    else:
        # Which of the two it is from now on, `deciding` says: to make each row twice costs as much as all the rest.
        reason = Reason.WEIGHED if row.reason is Reason.WEIGHED else Reason.SHARE
    return row if row.reason is reason else replace(row, reason=reason, detail="")


def _why(inputs: Inputs, row: Row, readings: Mapping[str, Reading]) -> Reason | None:
    reading = readings.get(row.endpoint)
    if reading is None:
        return None
    if not reading.alive:
        return Reason.DEAD
    surely = reading.samples >= SAMPLES_MIN and reading.bad_lower > inputs.settings.eject_bad_lower
    return Reason.ERRORS if surely else None


def _is_wanted(inputs: Inputs, row: Row, readings: Mapping[str, Reading]) -> bool:
    """Whether it should be ejected, limits aside."""
    if row.condition is Condition.EJECTED or (why := _why(inputs, row, readings)) is None:
        return False
    called_back = row.condition is Condition.RETURNING and row.reason is Reason.CAPACITY
    return why is Reason.DEAD or not called_back


def _lives(row: Row, readings: Mapping[str, Reading]) -> bool:
    reading = readings.get(row.endpoint)
    return reading is not None and reading.alive


def _badness(row: Row, readings: Mapping[str, Reading]) -> tuple[bool, float]:
    reading = readings.get(row.endpoint)
    return (False, 0.0) if reading is None else (not reading.alive, reading.bad_lower)


def ejections_max(endpoints: int, settings: Settings) -> int:
    """How many may be ejected at once."""
    return min(endpoints - 1, max(1, int(endpoints * settings.max_ejection_percent / 100.0)))


def _ejected(inputs: Inputs, row: Row, readings: Mapping[str, Reading]) -> Row:
    now_s, settings = inputs.time_s, inputs.settings
    forgiven = int((now_s - row.since_s) / settings.ejection_s) if row.ejections else 0
    times = min(EJECTIONS_MAX, max(0, row.ejections - max(0, forgiven)) + 1)
    return replace(
        row,
        condition=Condition.EJECTED,
        reason=_why(inputs, row, readings) or Reason.ERRORS,
        since_s=now_s,
        until_s=now_s + settings.ejection_s * times,
        ejections=times,
        detail="",
    )
