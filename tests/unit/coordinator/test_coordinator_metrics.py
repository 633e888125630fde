"""What a coordinator exports of agreements: while its node leads, of those in force, in the words of their status."""

from __future__ import annotations

from tests.unit.coordinator.test_ola_decisions import doing

from weftmesh.coordinator.metrics import BUDGET_LEFT, BURN_RATE, HEALTH, JUDGED_TIME, LEADS, CoordinatorMeter
from weftmesh.runtime.metrics.model import Exposition, Metric, Value


def told(meter: CoordinatorMeter) -> dict[Metric, dict[tuple[str, ...], Value]]:
    out = Exposition()
    meter(out)
    return dict(out.families())


def test_a_budget_that_burns_is_told() -> None:
    meter = CoordinatorMeter()
    meter.duty(leads=True)
    status = doing([100] * 12 + [0] * 276).status
    meter.judged("payments-api", status)
    found = told(meter)
    [one] = status.objectives
    assert found[LEADS] == {(): 1}
    assert found[HEALTH] == {("payments-api", "uptime", one.health.name.lower()): 1}
    assert one.budget.left is not None
    assert found[BUDGET_LEFT] == {("payments-api", "uptime"): float(one.budget.left)}
    assert found[BURN_RATE]["payments-api", "uptime", "1h"] == 100.0  # a tenth is bad, a thousandth may be
    assert {window for _, _, window in found[BURN_RATE]} == {"1h", "6h", "72h"}


def test_who_leads_no_longer_tells_no_more_of_agreements() -> None:
    meter = CoordinatorMeter()
    meter.duty(leads=True)
    meter.judged("payments-api", doing([0] * 288).status)
    assert JUDGED_TIME in told(meter)
    meter.duty(leads=False)
    assert not told(meter).keys() & {JUDGED_TIME, HEALTH, BUDGET_LEFT, BURN_RATE}


def test_a_retired_agreement_is_gone() -> None:
    meter = CoordinatorMeter()
    meter.judged("payments-api", doing([0] * 288).status)
    meter.retired("payments-api")
    assert HEALTH not in told(meter)
