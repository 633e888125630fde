"""A route as xDS resources: localities, weights, what an agreement allows, what cannot be told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.router.xds_tables import catalog, made, route

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.routing.steps import whole
from weftmesh.router.xds.kinds import Kind
from weftmesh.router.xds.resources import WEIGHT_PARTS, entries_in_steps, entries_of
from weftmesh.router.xds.snapshot import RouteRow, RouteSnapshot
from weftmesh.xds.v3 import resources_pb2


def assignment(snapshot: RouteSnapshot) -> resources_pb2.ClusterLoadAssignment:
    return resources_pb2.ClusterLoadAssignment.FromString(entries_of(snapshot)[Kind.ASSIGNMENT].content)


def cluster(snapshot: RouteSnapshot) -> resources_pb2.Cluster:
    return resources_pb2.Cluster.FromString(entries_of(snapshot)[Kind.CLUSTER].content)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_each_endpoint_with_weight_is_a_locality_of_its_own(weights: list[float]) -> None:
    told = assignment(route("r", {f"e{at}": weight for at, weight in enumerate(weights)}))
    kept = [(f"e{at}", weight) for at, weight in enumerate(weights) if weight > 0]
    assert [one.locality.sub_zone for one in told.endpoints] == [name for name, _ in kept]
    for one, (_, weight) in zip(told.endpoints, kept, strict=True):
        assert one.priority == 0
        assert len(one.lb_endpoints) == 1
        assert one.load_balancing_weight.value == max(1, round(weight * WEIGHT_PARTS))


def test_an_ipv6_address_is_told_without_its_brackets() -> None:
    told = assignment(RouteSnapshot("r", 1, (RouteRow("a", "[2001:db8::1]:443", 1.0, "z"),)))
    address = told.endpoints[0].lb_endpoints[0].endpoint.address.socket_address
    assert (address.address, address.port_value) == ("2001:db8::1", 443)


def test_clients_eject_and_limit_only_where_the_agreement_says() -> None:
    plain = cluster(route("r", {"a": 1.0}))
    assert not plain.HasField("outlier_detection")
    assert not plain.HasField("circuit_breakers")
    agreed = cluster(RouteSnapshot("r", 1, (), max_ejection_percent=30.0, requests_max=100))
    assert agreed.outlier_detection.max_ejection_percent.value == 30
    assert agreed.circuit_breakers.thresholds[0].max_requests.value == 100


def test_the_same_content_has_the_same_version() -> None:
    first, second = entries_of(route("r", {"a": 0.5})), entries_of(route("r", {"a": 0.5}, version=2))
    assert first == second
    changed = entries_of(route("r", {"a": 0.6}))
    assert [kind for kind in Kind if first[kind] != changed[kind]] == [Kind.ASSIGNMENT]


def test_an_address_that_is_a_name_is_refused_and_the_route_stays_as_it_was() -> None:
    before = catalog(route("r", {"a": 1.0}))
    named = RouteSnapshot("r", 2, (RouteRow("a", "pay-1.example:80", 1.0),))
    with pytest.raises(InvalidInputError, match="give its address as a number"):
        entries_of(named)
    after, (refused,) = made(before, [named, route("other", {"b": 1.0})])
    assert refused.route == "r"
    assert after.of(Kind.ASSIGNMENT)["r"] == before.of(Kind.ASSIGNMENT)["r"]
    assert "other" in after.of(Kind.ASSIGNMENT)


def test_a_drained_endpoint_may_have_any_address() -> None:
    assert not assignment(RouteSnapshot("r", 1, (RouteRow("a", "nowhere", 0.0),))).endpoints


def test_a_large_route_is_made_in_steps_and_comes_to_the_same() -> None:
    rows = tuple(RouteRow(f"e{at}", f"10.0.{at // 200}.{at % 200}:80", 0.001) for at in range(1_000))
    large = RouteSnapshot("large", 1, rows)
    assert sum(1 for _ in entries_in_steps(large)) > 20
    assert whole(entries_in_steps(large)) == entries_of(large)
