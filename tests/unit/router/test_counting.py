"""What this node counts of its objectives in windows of five minutes."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.ola_machine.agreed import LEDGER, NOON_S, PAYMENTS

from weftmesh.core.ola.model import (
    Agreement,
    Objective,
    PacketLoss,
    Probe,
    ProbeKind,
    ResponseTime,
    ServiceClass,
    Throughput,
    Uptime,
)
from weftmesh.core.ola.replicated.rows import Limits, ObjectiveCount
from weftmesh.router.counting.counts import PARTS_OPEN_MAX, WINDOWS_OPEN_MAX, CountedWindow, Counting, InForce
from weftmesh.router.samples import Sample, Source

NOON_MS = NOON_S * 1_000
OVER_MS = NOON_MS + 300_000
PING = Probe(ProbeKind.ICMP, 1_000, 300)
HTTP = Probe(ProbeKind.HTTP, 1_000, 300, "/healthz")
ALL = (Uptime(999_500_000), ResponseTime(990_000_000, 60_000), PacketLoss(5_000_000), Throughput(990_000_000, 3, 1_000))


def agreement(
    *objectives: Objective, probes: tuple[Probe, ...] = (HTTP, PING), name: str = "payments-api"
) -> Agreement:
    return replace(PAYMENTS, name=name, objectives=objectives, probes=probes)


def counting(*agreements: Agreement) -> Counting:
    found = Counting()
    found.set_agreements(InForce(one, 1, b"hash") for one in agreements)
    return found


def request(at_ms: int = 0, *, ok: bool = True, latency_us: int | None = 20_000, route: str = "payments") -> Sample:
    return Sample(route, "pay-1", 0.0, NOON_MS + at_ms, Source.REPORT, ok, latency_us)


def probed(kind: ProbeKind, *, ok: bool = True, answered: int = 1, latency_us: int | None = 20_000) -> Sample:
    return Sample(
        "payments", "pay-1", 0.0, NOON_MS, Source.PROBE, ok, latency_us, probe=kind, sent=1, answered=answered
    )


def summed(ok: bool, requests: int) -> Sample:
    return Sample("payments", "pay-1", 0.0, NOON_MS, Source.LRS, ok, None, sent=requests, answered=requests)


def counts(window: CountedWindow) -> dict[str, tuple[int, int]]:
    return {one.objective: (one.good, one.total) for one in window.counts}


def of_one_window(found: Counting, *samples: Sample) -> dict[str, tuple[int, int]]:
    for one in samples:
        found.take(one)
    (window,) = found.close(OVER_MS)
    return counts(window)


def test_uptime_counts_requests_and_probes_and_what_is_summed_up() -> None:
    samples = [request(), request(ok=False), probed(ProbeKind.HTTP), summed(True, 90), summed(False, 7)]
    assert of_one_window(counting(agreement(Uptime(1))), *samples) == {"uptime": (92, 100)}


def test_response_time_counts_what_is_answered_without_an_error_and_measured() -> None:
    samples = [
        request(latency_us=60_000),
        request(latency_us=60_001),
        request(ok=False, latency_us=10),
        request(ok=False, latency_us=None),
        summed(True, 90),
        probed(ProbeKind.HTTP, latency_us=1_000),
    ]
    found = of_one_window(counting(agreement(ResponseTime(990_000_000, 60_000))), *samples)
    assert found == {"response-time-p99": (2, 3)}


def test_packets_are_those_of_pings_where_there_are_some() -> None:
    samples = [
        probed(ProbeKind.ICMP),
        probed(ProbeKind.ICMP, ok=False, answered=0, latency_us=None),
        probed(ProbeKind.HTTP, ok=False, answered=0, latency_us=None),
        request(ok=False),
    ]
    assert of_one_window(counting(agreement(PacketLoss(1))), *samples) == {"packet-loss": (1, 2)}
    without = counting(agreement(PacketLoss(1), probes=(HTTP,)))
    refused = probed(ProbeKind.HTTP, ok=False)
    assert of_one_window(without, *samples, refused) == {"packet-loss": (1, 2)}, "an error is an answer"


def test_a_ping_says_nothing_of_a_service_that_is_asked_itself() -> None:
    both = (Uptime(1), ResponseTime(990_000_000, 60_000))
    assert of_one_window(counting(agreement(*both)), probed(ProbeKind.ICMP), request()) == {
        "uptime": (1, 1),
        "response-time-p99": (1, 1),
    }
    pings_alone = counting(agreement(*both, probes=(PING,)))
    assert of_one_window(pings_alone, probed(ProbeKind.ICMP))["uptime"] == (1, 1)


@pytest.mark.parametrize(
    ("answered", "failed", "good"),
    [(1, 0, 1), (3, 5, 1), (2, 1, 0), (0, 1, 0)],
    ids=["all that was asked", "as much as promised", "neither", "nothing"],
)
def test_a_part_of_time_is_good_when_enough_is_answered(answered: int, failed: int, good: int) -> None:
    found = counting(agreement(Throughput(990_000_000, 3, 1_000)))
    samples = [request(1_999)] * answered + [request(1_000, ok=False)] * failed
    assert of_one_window(found, *samples, summed(False, 9)) == {"throughput": (good, 1)}


def test_a_part_counts_in_the_window_in_which_it_ends() -> None:
    found = counting(agreement(Throughput(990_000_000, 3, 7 * 60_000)))
    starts_ms = -NOON_MS % (7 * 60_000)
    found.take(request(starts_ms))
    windows = [one.starts_s for at in range(1, 5) for one in found.close(NOON_MS + at * 300_000)]
    assert windows == [(NOON_MS + starts_ms + 7 * 60_000 - 1) // 300_000 * 300]


def test_a_part_is_judged_once_no_report_of_it_is_taken_any_more() -> None:
    found = counting(agreement(Throughput(990_000_000, 3, 1_000)))
    found.take(request(500, ok=False))
    assert found.close(NOON_MS + 60_000) == []
    found.take(replace(request(600), sent=3, answered=3))
    assert found.close(NOON_MS + 71_000) == []
    (tally,) = found.open_counts.tallies
    assert (tally.starts_ms, tally.good, tally.total, tally.is_part) == (NOON_MS, 1, 1, False)
    found.take(request(80_000, ok=False))
    restarted = Counting(found.open_counts)
    restarted.set_agreements([InForce(agreement(Throughput(990_000_000, 3, 1_000)), 1, b"hash")])
    for one in (found, restarted):
        assert counts(one.close(OVER_MS)[0]) == {"throughput": (1, 2)}


def test_all_agreements_about_a_route_are_counted_and_no_others() -> None:
    found = counting(agreement(Uptime(1)), agreement(Uptime(1), name="second"), LEDGER)
    found.take(request())
    found.take(request(route="unknown"))
    (window,) = found.close(OVER_MS)
    assert [(one.name, one.total) for one in window.counts] == [("payments-api", 1), ("second", 1)]
    assert [(one.name, one.generation, one.workflow) for one in window.agreements] == [
        ("payments-api", 1, b"hash"),
        ("second", 1, b"hash"),
    ]


def test_a_generation_that_counts_alike_goes_on_and_another_begins_anew() -> None:
    found = counting(agreement(Uptime(1), ResponseTime(990_000_000, 60_000)))
    found.take(request())
    changed = agreement(Uptime(2), ResponseTime(990_000_000, 10_000))
    found.set_agreements([InForce(changed, 2, b"other")])
    found.take(request())
    (window,) = found.close(OVER_MS)
    assert counts(window) == {"uptime": (2, 2), "response-time-p99": (0, 1)}
    assert window.agreements[0].generation == 2


def test_what_is_retired_is_left_out() -> None:
    found = counting(agreement(Uptime(1)))
    found.take(request())
    found.set_agreements([])
    assert found.close(OVER_MS) == []


def test_no_window_closes_before_it_is_over_or_before_agreements_are_known() -> None:
    found = counting(agreement(Uptime(1)))
    found.take(request())
    assert found.close(OVER_MS - 1) == []
    restarted = Counting(found.open_counts)
    assert restarted.close(OVER_MS) == []
    restarted.set_agreements([InForce(agreement(Uptime(1)), 1, b"hash")])
    (window,) = restarted.close(OVER_MS)
    assert counts(window) == {"uptime": (1, 1)}


def test_what_comes_for_a_closed_window_is_counted_as_late() -> None:
    found = counting(agreement(Uptime(1)))
    found.take(request())
    found.close(OVER_MS)
    found.take(request())
    restarted = Counting(found.open_counts)
    restarted.set_agreements([InForce(agreement(Uptime(1)), 1, b"hash")])
    restarted.take(request())
    assert (found.late, restarted.late) == (1, 1)
    assert found.close(OVER_MS + 300_000) == []


def test_a_clock_that_jumped_and_came_back_stops_no_counting() -> None:
    found = counting(agreement(Uptime(1)))
    found.take(request())
    assert len(found.close(NOON_MS + 86_400_000)) == 1
    found.take(request(300_000))
    (window,) = found.close(NOON_MS + 600_000)
    assert window.starts_s == NOON_S + 300


@pytest.mark.parametrize(("sent", "answered"), [(0, 0), (-1, 0), (1, 2), (1, -1), (Limits.COUNT_MAX + 1, 0)])
def test_a_sample_that_cannot_be_is_left_out(sent: int, answered: int) -> None:
    found = counting(agreement(*ALL))
    found.take(replace(request(), sent=sent, answered=answered))
    assert (found.refused, found.close(OVER_MS)) == (1, [])


def test_what_is_open_is_bounded() -> None:
    found = counting(agreement(Uptime(1), Throughput(1, 1, 1)))
    for window in range(WINDOWS_OPEN_MAX + 2):
        found.take(request(window * 300_000))
    for at_ms in range(PARTS_OPEN_MAX):
        found.take(request(at_ms))
    assert len(found.open_counts.tallies) == WINDOWS_OPEN_MAX + PARTS_OPEN_MAX
    assert found.refused == 2, "later windows make no room for themselves, earlier parts do"


def test_windows_that_a_clock_opened_years_ahead_do_not_keep_new_ones_out() -> None:
    found = counting(agreement(Uptime(1)))
    year_ms = 365 * 86_400_000
    for year in range(1, WINDOWS_OPEN_MAX + 1):
        found.take(request(year * year_ms))
    found.take(request())
    (window,) = found.close(OVER_MS)
    assert (window.starts_s, window.counts[0].total, found.refused) == (NOON_S, 1, 0)


def test_what_a_window_cannot_hold_is_left_out_lowest_class_first() -> None:
    batch = replace(agreement(Uptime(1), name="a-batch"), service_class=ServiceClass.BATCH)
    many = [agreement(Uptime(1), name=f"n{number:04}") for number in range(Limits.COUNTS)]
    found = counting(batch, *many)
    found.take(request())
    (window,) = found.close(OVER_MS)
    assert (len(window.counts), window.left_out) == (Limits.COUNTS, 1)
    assert "a-batch" not in {one.name for one in window.counts} | {one.name for one in window.agreements}


SAMPLES = st.lists(
    st.builds(
        Sample,
        st.sampled_from(["payments", "ledger"]),
        st.just("pay-1"),
        st.just(0.0),
        st.integers(NOON_MS, OVER_MS + 1_000),
        st.sampled_from(Source),
        st.booleans(),
        st.none() | st.integers(0, 100_000),
        probe=st.sampled_from([None, *ProbeKind]),
        sent=st.integers(0, 3),
        answered=st.integers(0, 3),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.randoms(use_true_random=False), st.integers(0, 30))
def test_counts_depend_neither_on_the_order_nor_on_a_restart(samples: list[Sample], random: Random, cut: int) -> None:
    def counted(order: list[Sample], restart: int) -> list[CountedWindow]:
        agreed = [
            InForce(one, 1, b"hash") for one in (agreement(*ALL), agreement(*ALL, name="b", probes=(PING,)), LEDGER)
        ]
        found = counting(*(one.agreement for one in agreed))
        for number, one in enumerate(order):
            if number == restart:
                found = Counting(found.open_counts)
                found.set_agreements(agreed)
            found.take(one)
        return found.close(OVER_MS + 300_000)

    shuffled = list(samples)
    random.shuffle(shuffled)
    windows = counted(samples, -1)
    assert counted(shuffled, cut) == windows
    for window in windows:
        assert all(isinstance(one, ObjectiveCount) and 0 <= one.good <= one.total for one in window.counts)
