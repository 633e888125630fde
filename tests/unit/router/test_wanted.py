"""Which routes agreements and orders come to, and what wins where several speak of one service."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.router.agreed_routes import agreement, followed, order, wanted, weighing

from weftmesh.core.ola.model import Probe, ProbeKind, ResponseTime, RouteMode, ServiceClass
from weftmesh.core.ola.replicated.rows import OverrideKind as OrderKind
from weftmesh.core.routing.model import Mode, OverrideKind, Share
from weftmesh.router.following.wanted import wanted_routes


def test_an_agreement_without_endpoints_makes_no_route() -> None:
    assert wanted(agreement(endpoints=0)) == {}


def test_endpoints_mode_and_limit_are_those_of_the_best_agreed_class_then_of_the_first_name() -> None:
    batch = agreement("a", service_class=ServiceClass.BATCH, mode=RouteMode.ACT)
    second = agreement("c", endpoints=2, mode=RouteMode.SUGGEST)
    first = agreement("b", endpoints=1, mode=RouteMode.OBSERVE)
    route = wanted(batch, second, first)["pay"]
    assert route.agreements == ("b", "c", "a")
    assert (len(route.endpoints), route.mode) == (1, Mode.OBSERVE)


def test_one_that_names_no_endpoints_never_leads() -> None:
    critical = agreement("a", endpoints=0, service_class=ServiceClass.CRITICAL)
    route = wanted(critical, agreement("b", endpoints=2))["pay"]
    assert (len(route.endpoints), route.agreements) == (2, ("b", "a"))


def test_a_raised_class_makes_probes_urgent_but_does_not_change_endpoints() -> None:
    batch = agreement("a", endpoints=1, service_class=ServiceClass.BATCH)
    normal = agreement("b", endpoints=2)
    route = wanted_routes([followed(batch, ServiceClass.CRITICAL), followed(normal)], ())["pay"]
    assert (len(route.endpoints), route.service_class) == (2, ServiceClass.CRITICAL)


def test_the_shortest_promised_response_time_counts_by_the_highest_percentile() -> None:
    strict = agreement("b", threshold_us=40_000)
    median = ResponseTime(500_000_000, 5_000)
    two = replace(agreement("a"), objectives=(median, ResponseTime(999_000_000, 90_000)))
    assert wanted(two, strict)["pay"].settings.threshold_s == 0.04
    assert wanted(two)["pay"].settings.threshold_s == 0.09


def test_each_probe_is_made_once_as_often_as_anybody_wants() -> None:
    ping, http = Probe(ProbeKind.ICMP, 1_000, 300), Probe(ProbeKind.HTTP, 2_000, 500, "/healthz")
    often = replace(http, every_ms=500, timeout_ms=200)
    route = wanted(agreement("a", probes=(ping, http)), agreement("b", probes=(often,)))["pay"]
    assert set(route.probes) == {ping, often}
    assert route.deciding_probe is ProbeKind.HTTP, "a machine that pings may well refuse requests"


def test_an_order_for_the_route_comes_before_one_for_all_routes() -> None:
    everywhere = order(OrderKind.MODE, route="", mode=RouteMode.OBSERVE, stamp=9)
    here = order(OrderKind.MODE, mode=RouteMode.SUGGEST, stamp=1)
    assert wanted(agreement(), orders=(everywhere,))["pay"].mode is Mode.OBSERVE
    assert wanted(agreement(), orders=(here, everywhere))["pay"].mode is Mode.SUGGEST
    assert wanted(agreement(service="other"), orders=(here,))["other"].mode is Mode.ACT


def test_a_freeze_of_every_route_is_one_of_each() -> None:
    routes = wanted(agreement(), agreement("b", service="b"), orders=(order(OrderKind.FREEZE, route=""),))
    assert all(one.overrides[0].kind is OverrideKind.FREEZE for one in routes.values())


def test_of_two_pins_the_newer_one_holds() -> None:
    pins = (order(OrderKind.PIN, "e0", stamp=1), order(OrderKind.PIN, "e1", stamp=2))
    (pin,) = wanted(agreement(), orders=pins)["pay"].overrides
    assert pin.endpoint == "e1"


def test_a_route_that_cannot_be_made_leaves_the_others() -> None:
    strange = agreement("a", service="strange", threshold_us=10**12)
    assert list(wanted(strange, agreement())) == ["pay"]


def test_ordered_shares_are_handed_on_until_they_are_taken_back() -> None:
    drain = order(OrderKind.DRAIN, "e2", stamp=1)
    orders = wanted(agreement(), orders=(drain, weighing(95, 5, 0, stamp=2)))["pay"].overrides
    assert [one.kind for one in orders] == [OverrideKind.WEIGH, OverrideKind.DRAIN], "a drain may need other shares"
    assert orders[0].shares == (Share("e0", 0.95), Share("e1", 0.05), Share("e2", 0.0))
    assert (orders[0].actor, orders[0].why) == ("ann@node1", "canary")
    assert wanted(agreement(), orders=(weighing(),))["pay"].overrides == ()
    assert wanted(agreement(service="other"), orders=(weighing(95, 5, 0),))["other"].overrides == ()
