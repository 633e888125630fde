"""Reports become samples, give their tickets back, and say nothing that cannot be."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.router.agreed_routes import Bench, agreement

from weftmesh.core.errors import InvalidInputError, NotFoundError
from weftmesh.core.routing.model import Condition
from weftmesh.router.samples import Sample
from weftmesh.router.serving.orca import CAPACITY, IN_FLIGHT, SERVICE_US, load_from_report
from weftmesh.router.serving.reports import AGO_MAX_US, Reports
from weftmesh.router.serving.tickets import LEASE_S, Tickets
from weftmesh.routing.v1 import routing_pb2


class Desk:
    """Reports with what they lead to."""

    def __init__(self) -> None:
        self.bench = Bench(agreement())
        self.samples: list[Sample] = []
        self.abandoned: list[tuple[str, str]] = []
        self.tickets = Tickets(lambda route, endpoint: self.abandoned.append((route, endpoint)))
        self.reports = Reports(self.bench.tables, self.tickets, self, self.bench.clock)

    def take(self, sample: Sample) -> None:
        self.samples.append(sample)
        self.bench.tables.take(sample)

    def in_flight(self) -> float:
        live = self.bench.tables.live("pay")
        assert live is not None
        return live.seen(self.bench.clock.now_s)[0].in_flight

    def resolve(self) -> int:
        live = self.bench.tables.live("pay")
        assert live is not None
        live.sent("e0")
        return self.tickets.give("pay", "e0", self.bench.clock.now_s)


def report(**fields: object) -> routing_pb2.RequestReport:
    return routing_pb2.RequestReport(route="pay", endpoint="e0", ok=True, **fields)  # type: ignore[arg-type]


def test_a_request_is_held_from_its_ticket_to_its_report() -> None:
    desk = Desk()
    ticket = desk.resolve()
    assert desk.in_flight() == 1.0
    desk.reports.take(report(ticket=ticket, latency_us=5_000))
    assert desk.in_flight() == 0.0
    (sample,) = desk.samples
    assert (sample.latency_us, sample.server_us, sample.ok) == (5_000, None, True)


def test_a_report_without_a_ticket_takes_nothing_from_requests_in_flight() -> None:
    desk = Desk()
    desk.resolve()
    desk.reports.take(report(latency_us=5_000))
    assert desk.in_flight() == 1.0


def test_a_ticket_is_good_once_and_for_its_own_endpoint() -> None:
    desk = Desk()
    ticket = desk.resolve()
    assert not desk.tickets.redeem(ticket, "pay", "e1")
    assert desk.tickets.redeem(ticket, "pay", "e0")
    assert not desk.tickets.redeem(ticket, "pay", "e0")


def test_what_is_not_reported_in_time_is_abandoned() -> None:
    desk = Desk()
    desk.resolve()
    desk.tickets.expire(desk.bench.clock.now_s + LEASE_S / 2)
    assert desk.abandoned == []
    desk.tickets.expire(desk.bench.clock.now_s + LEASE_S)
    assert desk.abandoned == [("pay", "e0")]


def test_an_abandoned_request_is_no_word_about_its_endpoint() -> None:
    desk = Desk()
    ticket = desk.resolve()
    desk.reports.take(report(ticket=ticket, abandoned=True))
    assert desk.in_flight() == 0.0
    assert desk.samples == []


def test_an_answer_that_nobody_timed_counts_and_frees_its_place() -> None:
    desk = Desk()
    ticket = desk.resolve()
    desk.reports.take(report(ticket=ticket))
    assert desk.in_flight() == 0.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"route": "other"}, "no route 'other'"),
        ({"endpoint": "e9"}, "no endpoint 'e9'"),
        ({"latency_us": -1}, "latency_us"),
        ({"ago_us": AGO_MAX_US + 1}, "ago_us"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_trace(wrong: dict[str, object], message: str) -> None:
    desk = Desk()
    one = report()
    for field, value in wrong.items():
        setattr(one, field, value)
    with pytest.raises((NotFoundError, InvalidInputError), match=message):
        desk.reports.take(one)
    assert desk.samples == []


def test_a_load_comes_by_orca_or_by_itself() -> None:
    desk = Desk()
    orca = routing_pb2.OrcaLoad(named_metrics={SERVICE_US: 20_000.0, IN_FLIGHT: 3.0, CAPACITY: 8.0})
    desk.reports.take(report(latency_us=5_000, orca=orca.SerializeToString()))
    load = routing_pb2.EndpointLoad(service_us=30_000, in_flight=1.0, capacity=2.0)
    desk.reports.take(report(latency_us=5_000, orca=orca.SerializeToString(), load=load))
    by_orca, by_itself = (one.load for one in desk.samples)
    assert by_orca is not None
    assert by_itself is not None
    assert (by_orca.service_s, by_orca.capacity) == (0.02, 8.0)
    assert (by_itself.service_s, by_itself.in_flight) == (0.03, 1.0)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_load_or_none(data: bytes) -> None:
    found = load_from_report(data)
    assert found is None or found.capacity > 0.0


@pytest.mark.parametrize("number", [math.nan, math.inf, -1.0, 1e18])
def test_a_load_that_makes_no_sense_is_none(number: float) -> None:
    metrics = {SERVICE_US: 1.0, IN_FLIGHT: number, CAPACITY: 1.0}
    assert load_from_report(routing_pb2.OrcaLoad(named_metrics=metrics).SerializeToString()) is None


def expiring_s(count: int) -> float:
    """Processor time until so many tickets ran out."""
    abandoned: list[str] = []
    tickets = Tickets(lambda _route, endpoint: abandoned.append(endpoint))
    for _ in range(count):
        tickets.give("pay", "e0", 0.0)
    begun_s = time.process_time()
    while tickets:
        tickets.expire(LEASE_S)
    took_s = time.process_time() - begun_s
    assert len(abandoned) == count
    return took_s


def test_each_of_many_tickets_that_run_out_takes_no_longer_than_one_of_few() -> None:
    few_s, many_s = min(expiring_s(2_000) for _ in range(3)), min(expiring_s(40_000) for _ in range(3))
    assert many_s / 40_000 < 4.0 * few_s / 2_000


def test_an_endpoint_that_lies_about_its_load_is_judged_by_its_answers() -> None:
    desk = Desk()
    lie = routing_pb2.OrcaLoad(named_metrics={SERVICE_US: 1e308, IN_FLIGHT: 1e308, CAPACITY: 4.0}).SerializeToString()
    for at in range(20):
        for name in ("e0", "e1", "e2"):
            fields = {"orca": lie, "latency_us": 5_000, "ok": name != "e0" or at < 3}
            desk.reports.take(routing_pb2.RequestReport(route="pay", endpoint=name, **fields))  # type: ignore[arg-type]
    desk.bench.pass_time(2.0)
    assert desk.bench.tables.rows("pay")[0].condition is Condition.EJECTED
