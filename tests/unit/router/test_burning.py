"""How fast services spend their budgets just now, as lanes are told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.core.ola_machine.agreed import LEDGER, NOON_S, PAYMENTS

from weftmesh.core.ola.model import ResponseTime, Throughput, Uptime
from weftmesh.router.counting.burning import PART_S, PARTS, Burning
from weftmesh.router.samples import Sample, Source

AGREED = replace(PAYMENTS, objectives=(Uptime(990_000_000), ResponseTime(900_000_000, 60_000)))


def burning(*objectives: Uptime | ResponseTime | Throughput) -> Burning:
    found = Burning()
    found.set_agreements([replace(AGREED, objectives=objectives or AGREED.objectives)])
    return found


def requests(found: Burning, count: int, at_s: float, *, ok: bool = True, latency_us: int = 20_000) -> None:
    for _ in range(count):
        found.take(Sample("payments", "pay-1", at_s, NOON_S * 1_000, Source.REPORT, ok, latency_us))


def test_a_rate_is_the_bad_share_over_the_allowed_one() -> None:
    found = burning(Uptime(990_000_000))
    requests(found, 96, 100.0)
    requests(found, 4, 100.0, ok=False)
    assert found.rates(100.0) == {"payments": pytest.approx(4.0)}


def test_the_worst_objective_counts() -> None:
    found = burning()
    requests(found, 50, 100.0)
    requests(found, 50, 100.0, latency_us=80_000)
    assert found.rates(100.0) == {"payments": pytest.approx(5.0)}


def test_too_few_requests_say_nothing() -> None:
    found = burning()
    requests(found, 9, 100.0, ok=False)
    assert found.rates(100.0) == {}


def test_what_is_old_is_forgotten() -> None:
    found = burning(Uptime(990_000_000))
    requests(found, 50, 100.0, ok=False)
    requests(found, 50, 100.0 + (PARTS - 1) * PART_S)
    assert found.rates(100.0 + (PARTS - 1) * PART_S)["payments"] == pytest.approx(50.0)
    assert found.rates(100.0 + PARTS * PART_S)["payments"] == 0.0
    assert found.rates(100.0 + 2 * PARTS * PART_S) == {}


def test_an_agreement_that_is_gone_has_no_rate() -> None:
    found = burning()
    requests(found, 50, 100.0, ok=False)
    found.set_agreements([LEDGER])
    assert found.rates(100.0) == {}
