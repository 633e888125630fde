from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.privacy.egress import Egress, EgressClass
from weftmesh.core.privacy.totals import OTHER_PEERS, ROWS_MAX, EgressQuery, Totals


def egress(egress_class: EgressClass = EgressClass.LOGS, peer: str = "elk", size_bytes: int = 1) -> Egress:
    return Egress(egress_class, peer, size_bytes, bytes(32), "a test")


def test_totals_are_by_class_and_peer_with_first_and_last_time() -> None:
    totals = Totals()
    for time_us, one in ((30, egress(size_bytes=5)), (10, egress(size_bytes=7)), (20, egress(EgressClass.PHONE))):
        totals.add(time_us, one)

    phone, logs = totals.sorted_rows()
    assert (phone.egress_class, phone.payloads) == (EgressClass.PHONE, 1)
    assert (logs.payloads, logs.size_bytes, logs.first_us, logs.last_us) == (2, 12, 10, 30)


def test_further_peers_are_added_up_so_that_memory_has_a_bound() -> None:
    totals = Totals()
    for number in range(ROWS_MAX + 50):
        totals.add(number, egress(peer=f"peer{number}"))

    assert len(totals.rows) == ROWS_MAX + 1
    assert totals.rows[EgressClass.LOGS, OTHER_PEERS].payloads == 50


@given(st.lists(st.tuples(st.integers(0, 100), st.sampled_from(EgressClass), st.sampled_from("ab")), max_size=30))
def test_queries_by_class_split_the_whole(rows: list[tuple[int, EgressClass, str]]) -> None:
    taken = [
        sum(EgressQuery(egress_class=one).takes(time_us, egress(kind, peer)) for time_us, kind, peer in rows)
        for one in EgressClass
    ]
    assert sum(taken) == len(rows) == sum(EgressQuery().takes(at, egress(kind, peer)) for at, kind, peer in rows)


def test_a_query_takes_what_is_recent_and_went_to_the_peer() -> None:
    query = EgressQuery(since_us=50, peer="elk")

    assert query.takes(50, egress())
    assert not query.takes(49, egress())
    assert not query.takes(50, egress(peer="mail"))
