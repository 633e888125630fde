"""State-of-the-world xDS: nonces, wildcards, what is told when; and a client that converges whatever happens."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.router.xds_tables import catalog, route

from weftmesh.router.xds.catalog import Catalog
from weftmesh.router.xds.kinds import Kind
from weftmesh.router.xds.receipts import Verdict
from weftmesh.router.xds.world import WorldRequest, WorldResponse, WorldStream

TWO = catalog(route("p", {"a": 1.0}), route("q", {"b": 1.0}))


def names(responses: list[WorldResponse]) -> list[tuple[Kind, list[str]]]:
    return [(one.kind, [entry.name for entry in one.entries]) for one in responses]


def test_no_names_mean_all_clusters_and_no_endpoints() -> None:
    stream = WorldStream()
    stream.take(WorldRequest(Kind.ASSIGNMENT), 0.0)
    stream.take(WorldRequest(Kind.CLUSTER), 0.0)
    assert names(stream.due(TWO, 0.0)) == [(Kind.CLUSTER, ["p", "q"])]


def test_clusters_are_told_before_endpoints_before_listeners_before_routes() -> None:
    stream = WorldStream()
    for kind in reversed(Kind):
        stream.take(WorldRequest(kind, ("p",)), 0.0)
    assert [one.kind for one in stream.due(TWO, 0.0)] == list(Kind)


def test_only_endpoints_that_changed_are_told_again() -> None:
    stream = WorldStream()
    stream.take(WorldRequest(Kind.ASSIGNMENT, ("p", "q")), 0.0)
    assert names(stream.due(TWO, 0.0)) == [(Kind.ASSIGNMENT, ["p", "q"])]
    assert stream.due(TWO, 0.0) == []
    assert names(stream.due(catalog(route("p", {"a": 0.5}), route("q", {"b": 1.0})), 0.0)) == [(Kind.ASSIGNMENT, ["p"])]


def test_a_listener_that_does_not_exist_is_answered_and_one_that_goes_is_told() -> None:
    stream = WorldStream()
    stream.take(WorldRequest(Kind.LISTENER, ("none",)), 0.0)
    assert names(stream.due(TWO, 0.0)) == [(Kind.LISTENER, [])]
    stream.take(WorldRequest(Kind.LISTENER, ("none", "p"), nonce="1"), 0.0)
    assert names(stream.due(TWO, 0.0)) == [(Kind.LISTENER, ["p"])]
    assert names(stream.due(catalog(), 0.0)) == [(Kind.LISTENER, [])]


def test_a_refused_response_is_not_repeated_until_it_changes() -> None:
    stream = WorldStream()
    stream.take(WorldRequest(Kind.CLUSTER), 0.0)
    (told,) = stream.due(TWO, 1.0)
    assert stream.take(WorldRequest(Kind.CLUSTER, nonce=told.nonce, error="bad field"), 1.5) is Verdict.NACK
    assert stream.due(TWO, 2.0) == []
    assert stream.receipts.refusal is not None
    assert stream.receipts.refusal.error == "bad field"
    assert names(stream.due(catalog(route("p", {"a": 1.0})), 3.0)) == [(Kind.CLUSTER, ["p"])]


def test_an_acknowledgement_is_timed() -> None:
    stream = WorldStream()
    stream.take(WorldRequest(Kind.CLUSTER), 0.0)
    (told,) = stream.due(TWO, 10.0)
    assert stream.take(WorldRequest(Kind.CLUSTER, nonce=told.nonce), 10.25) is Verdict.ACK
    median_us = stream.receipts.ack_times.quantile(10_250, 0.5)
    assert median_us is not None
    assert abs(median_us - 250_000) < 10_000


def test_a_stale_nonce_changes_no_subscription() -> None:
    stream = WorldStream()
    stream.take(WorldRequest(Kind.ASSIGNMENT, ("p",)), 0.0)
    (first,) = stream.due(TWO, 0.0)
    changed = catalog(route("p", {"a": 0.5}), route("q", {"b": 1.0}))
    (second,) = stream.due(changed, 0.0)
    stream.take(WorldRequest(Kind.ASSIGNMENT, ("p", "q"), nonce=first.nonce), 0.0)
    assert stream.due(changed, 0.0) == []
    stream.take(WorldRequest(Kind.ASSIGNMENT, ("p", "q"), nonce=second.nonce), 0.0)
    assert names(stream.due(changed, 0.0)) == [(Kind.ASSIGNMENT, ["q"])]


def test_everything_by_no_name_ends_when_something_is_named() -> None:
    stream = WorldStream()
    stream.take(WorldRequest(Kind.CLUSTER), 0.0)
    (told,) = stream.due(TWO, 0.0)
    stream.take(WorldRequest(Kind.CLUSTER, ("q",), nonce=told.nonce), 0.0)
    stream.take(WorldRequest(Kind.CLUSTER, (), nonce=told.nonce), 0.0)
    assert names(stream.due(TWO, 0.0)) == [(Kind.CLUSTER, [])]
    assert stream.due(catalog(route("p", {"a": 1.0})), 0.0) == []


def test_endpoints_of_a_changed_cluster_are_told_again() -> None:
    stream = WorldStream()
    stream.take(WorldRequest(Kind.CLUSTER), 0.0)
    stream.take(WorldRequest(Kind.ASSIGNMENT, ("p",)), 0.0)
    plain = route("p", {"a": 1.0})
    stream.due(catalog(plain), 0.0)
    limited = type(plain)(plain.route, 2, plain.rows, requests_max=5)
    assert names(stream.due(catalog(limited), 0.0)) == [(Kind.CLUSTER, ["p"]), (Kind.ASSIGNMENT, ["p"])]


ROUTES = ("p", "q", "r")
KINDS = st.sampled_from(list(Kind))
NAMES = st.lists(st.sampled_from([*ROUTES, "none"]), unique=True).map(tuple)
TABLES = st.dictionaries(st.sampled_from(ROUTES), st.sampled_from([0.0, 0.5, 1.0])).map(
    lambda found: catalog(*(route(name, {"a": weight}) for name, weight in found.items()))
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tables"), TABLES),
        st.tuples(st.just("names"), st.tuples(KINDS, NAMES)),
        st.tuples(st.just("deliver"), st.just(None)),
    ),
    max_size=30,
)


class WorldClient:
    """Does what the protocol says; its requests and the server's responses may cross."""

    def __init__(self) -> None:
        self.stream = WorldStream()
        self.wants: dict[Kind, tuple[str, ...]] = {}
        self.has: dict[Kind, dict[str, str]] = {kind: {} for kind in Kind}
        self._nonces: dict[Kind, str] = {}
        self._coming: deque[WorldResponse] = deque()

    def want(self, kind: Kind, wanted: tuple[str, ...]) -> None:
        if kind not in self.wants or self.wants[kind] or wanted:
            self.wants[kind] = wanted
            self.has[kind] = {name: version for name, version in self.has[kind].items() if name in wanted}
            self._ask(kind)

    def _ask(self, kind: Kind) -> None:
        self.stream.take(WorldRequest(kind, self.wants[kind], self._nonces.get(kind, "")), 0.0)
        self.stream.check()

    def server_tells(self, tables: Catalog) -> None:
        self._coming.extend(self.stream.due(tables, 0.0))
        self.stream.check()

    def deliver(self) -> bool:
        if not self._coming:
            return False
        response = self._coming.popleft()
        told = {one.name: one.version for one in response.entries}
        self._nonces[response.kind] = response.nonce
        wanted = self.wants[response.kind]
        told = {name: version for name, version in told.items() if name in wanted}
        self.has[response.kind] = told if response.kind.is_whole else self.has[response.kind] | told
        self._ask(response.kind)
        return True


@given(STEPS, TABLES)
def test_a_client_ends_up_with_what_there_is(steps: list[tuple[str, object]], last: Catalog) -> None:
    client, tables = WorldClient(), catalog()
    for what, value in steps:
        if isinstance(value, Catalog):
            tables = value
        elif isinstance(value, tuple):
            kind, wanted = value
            if wanted:
                client.want(kind, wanted)
        elif what == "deliver":
            client.deliver()
        client.server_tells(tables)
    client.server_tells(last)
    while client.deliver():
        client.server_tells(last)
    for kind, wanted in client.wants.items():
        there = {name: one.version for name, one in last.of(kind).items() if name in wanted}
        has = client.has[kind]
        assert {name: has.get(name) for name in there} == there
        if kind.is_whole:
            assert has == there
