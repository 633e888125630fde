"""Incremental xDS: what is told, what is taken back; and a client that converges, also across streams."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.router.test_xds_world import KINDS, NAMES, TABLES, TWO
from tests.unit.router.xds_tables import catalog, route

from weftmesh.router.xds.catalog import Catalog
from weftmesh.router.xds.delta import DeltaRequest, DeltaResponse, DeltaStream
from weftmesh.router.xds.kinds import Kind
from weftmesh.router.xds.receipts import Verdict


def told(responses: list[DeltaResponse]) -> list[tuple[Kind, list[str], list[str]]]:
    return [(one.kind, [entry.name for entry in one.entries], list(one.removed)) for one in responses]


def test_what_does_not_exist_is_said_to_be_gone_and_told_once_it_is_there() -> None:
    stream = DeltaStream()
    stream.take(DeltaRequest(Kind.ASSIGNMENT, ("p", "none")), 0.0)
    assert told(stream.due(TWO, 0.0)) == [(Kind.ASSIGNMENT, ["p"], ["none"])]
    assert stream.due(TWO, 0.0) == []
    assert told(stream.due(catalog(route("none", {"a": 1.0})), 0.0)) == [(Kind.ASSIGNMENT, ["none"], ["p"])]


def test_what_is_asked_for_again_is_told_again() -> None:
    stream = DeltaStream()
    stream.take(DeltaRequest(Kind.ASSIGNMENT, ("p",)), 0.0)
    stream.due(TWO, 0.0)
    stream.take(DeltaRequest(Kind.ASSIGNMENT, ("p",)), 0.0)
    assert told(stream.due(TWO, 0.0)) == [(Kind.ASSIGNMENT, ["p"], [])]
    for _ in range(2):
        stream.take(DeltaRequest(Kind.ASSIGNMENT, ("none",)), 0.0)
        assert told(stream.due(TWO, 0.0)) == [(Kind.ASSIGNMENT, [], ["none"])]


def test_versions_of_an_earlier_stream_are_not_told_again() -> None:
    known = {name: one.version for name, one in TWO.of(Kind.CLUSTER).items()}
    stream = DeltaStream()
    stream.take(DeltaRequest(Kind.CLUSTER, known=known | {"gone": "1"}), 0.0)
    assert told(stream.due(TWO, 0.0)) == [(Kind.CLUSTER, [], ["gone"])]


def test_what_a_client_has_and_does_not_ask_for_is_not_its_business() -> None:
    stream = DeltaStream()
    stream.take(DeltaRequest(Kind.ASSIGNMENT, ("p",), known={"old": "1"}), 0.0)
    assert told(stream.due(TWO, 0.0)) == [(Kind.ASSIGNMENT, ["p"], [])]


def test_dropping_a_name_that_the_wildcard_covers_tells_it_again() -> None:
    stream = DeltaStream()
    stream.take(DeltaRequest(Kind.CLUSTER, ("*", "p")), 0.0)
    assert told(stream.due(TWO, 0.0)) == [(Kind.CLUSTER, ["p", "q"], [])]
    stream.take(DeltaRequest(Kind.CLUSTER, unsubscribe=("p",)), 0.0)
    assert told(stream.due(TWO, 0.0)) == [(Kind.CLUSTER, ["p"], [])]
    stream.take(DeltaRequest(Kind.CLUSTER, unsubscribe=("*",)), 0.0)
    assert stream.due(catalog(), 0.0) == []


def test_everything_is_answered_even_where_there_is_nothing() -> None:
    stream = DeltaStream()
    stream.take(DeltaRequest(Kind.CLUSTER), 0.0)
    assert told(stream.due(catalog(), 0.0)) == [(Kind.CLUSTER, [], [])]
    assert stream.due(catalog(), 0.0) == []


def test_a_refused_response_is_not_repeated() -> None:
    stream = DeltaStream()
    stream.take(DeltaRequest(Kind.CLUSTER), 0.0)
    (response,) = stream.due(TWO, 0.0)
    assert stream.take(DeltaRequest(Kind.CLUSTER, nonce=response.nonce, error="no"), 0.0) is Verdict.NACK
    assert stream.due(TWO, 0.0) == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tables"), TABLES),
        st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), st.tuples(KINDS, NAMES)),
        st.tuples(st.sampled_from(["deliver", "reconnect"]), st.just(None)),
    ),
    max_size=30,
)


class DeltaClient:
    """Does what the protocol says, in order; a new stream brings along what the last one told."""

    def __init__(self) -> None:
        self.stream = DeltaStream()
        self.wants: dict[Kind, set[str]] = {kind: set() for kind in Kind}
        self.has: dict[Kind, dict[str, str]] = {kind: {} for kind in Kind}
        self.repeated = 0
        self._coming: deque[DeltaResponse] = deque()

    def change(self, kind: Kind, subscribe: set[str], unsubscribe: set[str]) -> None:
        # A kind is only asked for by name here: nothing at all would mean everything.
        if not (self.wants[kind] or subscribe):
            return
        self.wants[kind] = (self.wants[kind] | subscribe) - unsubscribe
        for name in unsubscribe:
            self.has[kind].pop(name, None)
        self.stream.take(DeltaRequest(kind, tuple(sorted(subscribe - unsubscribe)), tuple(sorted(unsubscribe))), 0.0)
        self.stream.check()

    def reconnect(self) -> None:
        self._coming.clear()
        self.stream = DeltaStream()
        for kind, wanted in self.wants.items():
            if wanted:
                self.stream.take(DeltaRequest(kind, tuple(sorted(wanted)), known=dict(self.has[kind])), 0.0)

    def server_tells(self, tables: Catalog) -> None:
        self._coming.extend(self.stream.due(tables, 0.0))
        self.stream.check()

    def deliver(self) -> bool:
        if not self._coming:
            return False
        response = self._coming.popleft()
        kind = response.kind
        self.repeated += sum(self.has[kind].get(one.name) == one.version for one in response.entries)
        self.has[kind].update({one.name: one.version for one in response.entries if one.name in self.wants[kind]})
        for name in response.removed:
            self.has[kind].pop(name, None)
        self.stream.take(DeltaRequest(kind, nonce=response.nonce), 0.0)
        return True


@given(STEPS, TABLES)
def test_a_client_ends_up_with_what_there_is(steps: list[tuple[str, object]], last: Catalog) -> None:
    client, tables = DeltaClient(), catalog()
    for what, value in steps:
        if isinstance(value, Catalog):
            tables = value
        elif isinstance(value, tuple):
            kind, wanted = value
            subscribe = what == "subscribe"
            client.change(kind, set(wanted) if subscribe else set(), set() if subscribe else set(wanted))
        elif what == "deliver":
            client.deliver()
        else:
            client.reconnect()
        client.server_tells(tables)
    client.server_tells(last)
    while client.deliver():
        client.server_tells(last)
    for kind, names in client.wants.items():
        assert client.has[kind] == {name: one.version for name, one in last.of(kind).items() if name in names}


@given(TABLES)
def test_a_new_stream_tells_nothing_to_a_client_that_has_it_all(tables: Catalog) -> None:
    client = DeltaClient()
    for kind in Kind:
        client.change(kind, {"p", "q", "r"}, set())
    client.server_tells(tables)
    while client.deliver():
        pass
    client.reconnect()
    client.server_tells(tables)
    while client.deliver():
        pass
    assert client.repeated == 0
