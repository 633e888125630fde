from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.hash_chain import GENESIS, Break, Head, Record, hash_of, mismatch, parse_head
from weftmesh.core.privacy.chain import EgressRecord, pack, unpack
from weftmesh.core.privacy.egress import PEER_BYTES_MAX, WHY_BYTES_MAX, Egress, EgressClass, check_egress

DIGEST = hashlib.sha256(b"payload").digest()
EGRESS = Egress(EgressClass.LEARNING, "node2", 7, DIGEST, "round 12, masked input")

texts = st.text(min_size=1, max_size=40)
numbers = st.integers(0, 2**63 - 1)
egresses = st.builds(Egress, st.sampled_from(EgressClass), texts, numbers, st.binary(min_size=32, max_size=32), texts)
records = st.builds(
    Record,
    sequence=numbers,
    durable_sequence=numbers,
    time_us=numbers,
    previous=st.binary(min_size=32, max_size=32),
    content=egresses | st.builds(Break, texts),
)


@given(records)
def test_a_record_comes_back_as_it_was_packed(row: EgressRecord) -> None:
    assert unpack(pack(row)) == row


@given(records, st.data())
def test_a_changed_byte_changes_the_hash_and_never_crashes_the_reader(row: EgressRecord, data: st.DataObject) -> None:
    payload = bytearray(pack(row))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    assert hash_of(bytes(payload)) != hash_of(pack(row))
    with suppress(ValueError):
        unpack(bytes(payload))


@given(st.binary(max_size=300))
def test_bytes_that_are_no_record_are_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"bytes that do not begin"):
        unpack(data)


def chained(head: Head, sequence: int, content: Egress | Break = EGRESS) -> tuple[EgressRecord, Head]:
    row = Record(sequence, head.sequence, 0, head.hash, content)
    return row, Head(sequence, hash_of(pack(row)))


def test_records_follow_one_another_by_number_and_hash() -> None:
    first, head = chained(GENESIS, 1)
    second, _ = chained(head, 2)

    assert (mismatch(GENESIS, first), mismatch(head, second)) == ("", "")
    assert "record 2 stands where record 1 belongs" in mismatch(GENESIS, second)
    assert "behind another record" in mismatch(head._replace(hash=DIGEST), second)


def test_a_break_may_leave_records_out_but_not_go_back() -> None:
    _, head = chained(GENESIS, 1)
    later, _ = chained(head, 7, Break("lost"))
    again, _ = chained(head, 1, Break("lost"))

    assert mismatch(head, later) == ""
    assert "stands behind" in mismatch(head, again)


@given(numbers, st.binary(min_size=32, max_size=32))
def test_an_anchor_is_read_as_it_was_printed(sequence: int, digest: bytes) -> None:
    assert parse_head(str(Head(sequence, digest))) == Head(sequence, digest)


@pytest.mark.parametrize("text", ["", "12", f"12:{'a' * 63}", f"-1:{'a' * 64}", f"1:{'g' * 64}", "x" * 500])
def test_what_is_no_anchor_is_refused_with_its_form(text: str) -> None:
    with pytest.raises(InvalidInputError, match="SEQ:HASH"):
        parse_head(text)


def test_what_concerns_health_is_refused_and_says_whose_it_is() -> None:
    with pytest.raises(InvalidInputError, match="that person's own ledger") as refused:
        check_egress(replace(EGRESS, egress_class=EgressClass.HEALTH))
    assert refused.value.reason == "HEALTH_IS_PERSONAL"


@pytest.mark.parametrize(
    ("field", "egress"),
    [
        ("peer", replace(EGRESS, peer="")),
        ("peer", replace(EGRESS, peer="é" * (PEER_BYTES_MAX // 2 + 1))),
        ("peer", replace(EGRESS, peer="\ud800")),
        ("why", replace(EGRESS, why="")),
        ("why", replace(EGRESS, why="y" * (WHY_BYTES_MAX + 1))),
        ("size_bytes", replace(EGRESS, size_bytes=-1)),
        ("size_bytes", replace(EGRESS, size_bytes=1 << 63)),
        ("sha256", replace(EGRESS, sha256=DIGEST[:31])),
    ],
)
def test_a_field_out_of_bounds_is_named(field: str, egress: Egress) -> None:
    with pytest.raises(InvalidInputError, match=field) as refused:
        check_egress(egress)
    assert refused.value.metadata["field"] == field


@given(egresses.filter(lambda one: one.egress_class is not EgressClass.HEALTH))
def test_what_is_within_bounds_is_taken_and_fits_into_a_record(egress: Egress) -> None:
    check_egress(egress)
    assert unpack(pack(Record(1, 0, 0, GENESIS.hash, egress))).content == egress
