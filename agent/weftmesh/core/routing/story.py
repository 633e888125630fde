"""What happened to a route, as text for people and for failing tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from weftmesh.core.routing.model import Decision, Mode, Override, Row

SHARES_TOLD: Final = 20
"""Of one order; a route may have thousands of endpoints."""

TimeText = Callable[[float], str]
"""How a time in the clock of the events is written."""


def in_seconds(time_s: float) -> str:
    """Of a clock that means nothing to people."""
    return f"{time_s:.1f} s"


def route_story(
    name: str,
    mode: Mode,
    overrides: Iterable[Override],
    rows: Iterable[Row],
    decisions: Iterable[Decision],
    time_text: TimeText = in_seconds,
) -> str:
    """The table in force, the orders, and one line for each thing of late that changed."""
    lines = [f"route {name}, mode {mode.value}"]
    lines += [f"  order: {_ordered(one)} by {one.actor}: {one.why}" for one in overrides]
    lines += [
        f"  {row.weight:6.1%} {row.endpoint} {row.condition.value}, {row.reason.value}: {row.detail}" for row in rows
    ]
    for one in decisions:
        lines += _decision_lines(one, time_text(one.inputs.time_s))
    return "\n".join(lines)


def _ordered(order: Override) -> str:
    shares = [f"{one.endpoint}={one.share * 100.0:g}%" for one in order.shares[:SHARES_TOLD]]
    more = [f"and {len(order.shares) - SHARES_TOLD} more"] if len(order.shares) > SHARES_TOLD else []
    return " ".join(filter(None, [order.kind.value, order.endpoint, *shares, *more]))


def _decision_lines(decision: Decision, at: str) -> list[str]:
    before = {row.endpoint: row for row in decision.before}
    fate = "" if decision.inputs.takes_effect else " (not in force)"
    lines = []
    for row in decision.after:
        old = before.get(row.endpoint)
        if old is None or old.condition is not row.condition or abs(old.weight - row.weight) >= 0.002:
            was = "new" if old is None else f"{old.weight:.1%} {old.condition.value}"
            lines.append(
                f"  #{decision.number} at {at}{fate} {row.endpoint}: {was} -> "
                f"{row.weight:.1%} {row.condition.value}, {row.reason.value}: {row.detail}"
            )
    return lines
