"""Why a weight is what it is, in words that people are shown."""

from __future__ import annotations

from typing import Final

from weftmesh.core.routing.model import Condition, Inputs, OverrideKind, Reading, Reason, Row

ORDERS: Final = {
    Reason.DRAINED: OverrideKind.DRAIN,
    Reason.PINNED: OverrideKind.PIN,
    Reason.WEIGHED: OverrideKind.WEIGH,
}
"""Reasons that are orders."""


class Details:
    """The words of one decision.

    Args:
        inputs: what the decision is computed from.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._orders: dict[tuple[OverrideKind, str], str] = {}
        self._first: dict[OverrideKind, str] = {}
        for order in inputs.overrides:
            words = f"{order.actor}: {order.why}"
            self._orders.setdefault((order.kind, order.endpoint), words)
            self._first.setdefault(order.kind, words)

    def of(self, row: Row, reading: Reading | None, target: float, reason: Reason) -> str:
        """The reason of one row."""
        seen = "too little heard yet" if reading is None else _seen(reading)
        if reason in ORDERS:
            going = f"; goes to {target * 100.0:.4g} %" if reason is Reason.WEIGHED else ""
            return f"{self._order(row.endpoint, ORDERS[reason])}{going}; {seen}"
        if row.condition is Condition.EJECTED:
            times = "" if row.ejections == 1 else f", time {row.ejections}"
            return f"{seen}; out for {row.until_s - row.since_s:.0f} s at least{times}"
        if reason is Reason.HELD:
            return f"{seen}; wanted {target:.3f}, moved too recently"
        return seen

    def _order(self, endpoint: str, kind: OverrideKind) -> str:
        """Who ordered it, and why; a pin of one endpoint is why the others get nothing."""
        return self._orders.get((kind, endpoint)) or self._first[kind]


def _seen(reading: Reading) -> str:
    state = "" if reading.alive else ", no probe answered"
    return (
        f"works {reading.service_s * 1e3:.1f} ms, {reading.rtt_s * 1e3:.1f} ms away, "
        f"surely {reading.bad_lower:.1%} bad of {reading.samples:.0f}, holds {reading.in_flight:.0f}{state}"
    )
