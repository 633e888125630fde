"""Tables follow agreements, orders and samples, and requests follow the tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from tests.unit.router.agreed_routes import Bench, agreement, order, wanted, weighing

from weftmesh.core.errors import NotFoundError
from weftmesh.core.ola.model import ProbeKind, RouteMode
from weftmesh.core.ola.replicated.rows import OverrideKind
from weftmesh.core.routing.model import Condition
from weftmesh.core.routing.steps import whole
from weftmesh.router.clock import utc_text
from weftmesh.router.samples import Source


def picks(bench: Bench, count: int = 200) -> Counter[str]:
    live = bench.tables.live("pay")
    assert live is not None
    return Counter(live.choose(bench.clock.now_s).name for _ in range(count))


def test_a_route_is_there_while_its_agreement_is() -> None:
    bench = Bench(agreement())
    told: list[str] = []
    bench.tables.on_change(told.append)
    assert bench.tables.names() == ("pay",)
    bench.want()
    assert bench.tables.names() == ()
    assert told == ["pay"]
    with pytest.raises(NotFoundError, match="no route 'pay'"):
        bench.tables.wanted("pay")


def test_an_endpoint_whose_probes_fail_is_left_within_seconds_and_comes_back() -> None:
    bench = Bench(agreement())
    for _ in range(6):
        for name in ("e0", "e1", "e2"):
            bench.probe(name)
        bench.pass_time(1.0)
    for _ in range(3):
        bench.probe("e1", ok=False)
        bench.pass_time(0.5)
    assert bench.weights()[1] == 0.0
    assert bench.tables.rows("pay")[1].condition is Condition.EJECTED
    assert "e1" not in picks(bench)
    for _ in range(120):
        for name in ("e0", "e1", "e2"):
            bench.probe(name)
        bench.pass_time(1.0)
    assert bench.weights()[1] > 0.2


def test_a_machine_that_pings_while_its_service_fails_is_left() -> None:
    bench = Bench(agreement())
    for at in range(12):
        for name in ("e0", "e1", "e2"):
            bench.probe(name, ok=at < 5 or name != "e1")
            bench.probe(name, kind=ProbeKind.ICMP)
        bench.pass_time(1.0)
    assert bench.weights()[1] == 0.0


def test_requests_follow_costs_in_mode_act_and_weights_otherwise() -> None:
    bench = Bench(agreement(mode=RouteMode.OBSERVE))
    for _ in range(40):
        bench.report("e0", latency_us=200_000)
        bench.report("e1")
        bench.report("e2")
        bench.pass_time(0.5)
    assert min(picks(bench, 600).values()) > 140, "it only watches"
    bench.want(agreement(mode=RouteMode.ACT))
    assert picks(bench)["e0"] < 20
    bench.want(agreement(mode=RouteMode.ACT), orders=(order(OverrideKind.FREEZE),))
    assert picks(bench, 600)["e0"] > 140, "who froze the route wants the weights that are shown"


def test_a_freeze_keeps_every_weight_whatever_is_ordered_or_fails() -> None:
    bench = Bench(agreement())
    before = bench.weights()
    bench.want(agreement(), orders=(order(OverrideKind.FREEZE), order(OverrideKind.DRAIN, "e0")))
    for _ in range(10):
        bench.probe("e1", ok=False)
        bench.pass_time(1.0)
    assert bench.weights() == before
    bench.want(agreement(), orders=(order(OverrideKind.DRAIN, "e0"),))
    bench.pass_time(15.0)
    assert bench.weights()[0] == 0.0


def test_a_drain_empties_for_requests_and_weights_and_is_taken_back() -> None:
    bench = Bench(agreement())
    bench.want(agreement(), orders=(order(OverrideKind.DRAIN, "e2"),))
    bench.pass_time(15.0)
    assert bench.weights()[2] == 0.0
    assert "e2" not in picks(bench)
    bench.want(agreement())
    bench.pass_time(60.0)
    assert bench.weights()[2] > 0.2


def test_requests_that_are_chosen_one_by_one_follow_ordered_shares() -> None:
    bench = Bench(agreement(), orders=(weighing(75, 20, 5),))
    live = bench.tables.live("pay")
    assert live is not None
    for _ in range(40):
        bench.report("e0", latency_us=200_000)
        bench.report("e1")
        bench.report("e2")
        bench.pass_time(0.5)
    found = picks(bench, 4_000)
    assert not live.per_request
    assert [found[name] / 4_000 for name in ("e0", "e1", "e2")] == pytest.approx([0.75, 0.20, 0.05], abs=0.03)
    bench.want(agreement())
    assert live.per_request
    assert picks(bench)["e0"] < 20, "it is slow, and nobody orders otherwise"


def test_shares_change_for_all_endpoints_at_once() -> None:
    bench = Bench(agreement(), orders=(weighing(100, 0, 0),))
    bench.pass_time(15.0)
    assert bench.weights() == [1.0, 0.0, 0.0]
    # One after the other, either of these would contradict the shares of before.
    bench.want(agreement(), orders=(order(OverrideKind.DRAIN, "e0"), weighing(0, 90, 10, stamp=2)))
    assert bench.tables.refused("pay") == ()
    bench.pass_time(15.0)
    assert bench.weights() == [0.0, 0.9, 0.1]


def test_shares_that_cannot_be_followed_leave_requests_to_costs_and_are_told() -> None:
    bench = Bench(agreement(endpoints=2), orders=(weighing(0, 0, 100),))
    live = bench.tables.live("pay")
    assert live is not None
    assert live.per_request
    assert "no endpoint with an ordered share" in bench.tables.refused("pay")[0]


def test_a_pin_moves_from_one_endpoint_to_another() -> None:
    bench = Bench(agreement(), orders=(order(OverrideKind.PIN, "e0"),))
    bench.pass_time(20.0)
    assert bench.weights() == [1.0, 0.0, 0.0]
    bench.want(agreement(), orders=(order(OverrideKind.PIN, "e1", stamp=2), order(OverrideKind.DRAIN, "e0", stamp=3)))
    bench.pass_time(20.0)
    assert bench.weights() == [0.0, 1.0, 0.0]
    assert bench.tables.refused("pay") == ()


def test_an_order_that_cannot_be_followed_is_told_and_followed_once_it_can() -> None:
    drain = order(OverrideKind.DRAIN, "e2")
    bench = Bench(agreement(endpoints=2), orders=(drain,))
    assert "no endpoint 'e2'" in bench.tables.refused("pay")[0]
    bench.want(agreement(endpoints=3), orders=(drain,))
    bench.pass_time(15.0)
    assert bench.tables.refused("pay") == ()
    assert bench.weights()[2] == 0.0


def test_what_is_known_of_an_endpoint_stays_while_its_address_does() -> None:
    bench = Bench(agreement())
    for _ in range(10):
        bench.report("e0", latency_us=200_000)
        bench.pass_time(0.5)
    live = bench.tables.live("pay")
    assert live is not None
    slow = live.seen(bench.clock.now_s)[0].service_s
    bench.want(agreement(endpoints=4))
    assert live.seen(bench.clock.now_s)[0].service_s == slow
    moved = agreement(endpoints=4)
    bench.want(replace(moved, endpoints=(replace(moved.endpoints[0], address="127.0.0.1:9"), *moved.endpoints[1:])))
    assert live.seen(bench.clock.now_s)[0].service_s != slow


def test_an_endpoint_to_avoid_is_picked_only_when_there_is_no_other() -> None:
    for mode in (RouteMode.ACT, RouteMode.OBSERVE):
        live = Bench(agreement(mode=mode)).tables.live("pay")
        assert live is not None
        assert {live.choose(1_000.0, ["e0", "e1"]).name for _ in range(30)} == {"e2"}
        assert live.choose(1_000.0, ["e0", "e1", "e2"]).name in {"e0", "e1", "e2"}


def test_requests_that_xds_clients_counted_weigh_as_many() -> None:
    bench = Bench(agreement())
    for at in range(6):
        for name in ("e0", "e1", "e2"):
            one = bench.sample(name, Source.LRS, ok=at < 3 or name != "e0", latency_us=None)
            bench.tables.take(replace(one, sent=20, answered=20))
        bench.pass_time(1.0)
    assert bench.weights()[0] == 0.0


def test_a_kept_table_goes_on_after_a_restart() -> None:
    orders = (order(OverrideKind.DRAIN, "e0"),)
    before = Bench(agreement(), orders=orders)
    before.pass_time(15.0)
    kept = whole(before.tables.kept("pay"))
    after = Bench()
    after.tables.restore([kept], wanted(agreement(), orders=orders))
    assert after.weights() == before.weights() == [0.0, 0.5, 0.5]
    assert after.tables.version("pay") == before.tables.version("pay")
    assert "e0" not in picks(after)


def test_ordered_shares_go_on_after_a_restart() -> None:
    orders = (weighing(60, 35, 5),)
    before = Bench(agreement(), orders=orders)
    before.pass_time(15.0)
    after = Bench()
    after.tables.restore([whole(before.tables.kept("pay"))], wanted(agreement(), orders=orders))
    assert after.weights() == before.weights() == [0.6, 0.35, 0.05]
    assert picks(after, 2_000)["e2"] == pytest.approx(100, abs=60)


def test_a_kept_table_that_does_not_fit_begins_anew() -> None:
    kept = whole(Bench(agreement(endpoints=3)).tables.kept("pay"))
    kept.rows[0].condition = "asleep"
    after = Bench()
    after.tables.restore([kept], wanted(agreement(endpoints=2)))
    assert after.weights() == [0.5, 0.5]


def test_every_decision_is_kept_with_the_number_after_the_one_before() -> None:
    bench = Bench(agreement())
    bench.want(agreement(), orders=(order(OverrideKind.DRAIN, "e0"),))
    bench.pass_time(15.0)
    numbers = [one.number for one in bench.log.decisions]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 3


def test_times_in_a_story_are_those_of_a_clock_on_the_wall() -> None:
    assert utc_text(1_795_352_711.16) == "2026-11-22 13:05:11.1 UTC"
