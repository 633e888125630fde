"""Audit records as bytes: they come back as they were, and nothing that is read crashes the reader."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.audit_log.entries import (
    FIELD_CHARACTERS_MAX,
    TEXT_CHARACTERS_MAX,
    AuditRecord,
    Entry,
    Lost,
    Outcome,
    pack,
    unpack,
)
from weftmesh.core.hash_chain import Break, Head, Pruned, Record

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=TEXT_CHARACTERS_MAX)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=FIELD_CHARACTERS_MAX // 5)
hashes = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**62)
contents = st.one_of(
    st.builds(
        Entry,
        texts,
        texts,
        texts,
        project=texts,
        target=texts,
        fields=st.lists(names, max_size=5).map(tuple),
        request_id=texts,
        outcome=st.sampled_from(Outcome),
        reason=texts,
        basis=texts,
        repeats=numbers,
    ),
    st.builds(Lost, numbers, texts),
    st.builds(Break, texts),
    st.builds(Pruned, st.builds(Head, numbers, hashes), texts),
)
records: st.SearchStrategy[AuditRecord] = st.builds(Record, numbers, numbers, numbers, hashes, contents)


@given(records)
def test_a_record_comes_back_as_it_was_packed_and_is_one_line_of_json(row: AuditRecord) -> None:
    payload = pack(row)
    assert unpack(payload) == row
    assert b"\n" not in payload
    assert json.loads(payload)["seq"] == row.sequence


@given(records, st.data())
def test_a_changed_byte_never_crashes_the_reader(row: AuditRecord, data: st.DataObject) -> None:
    payload = bytearray(pack(row))
    payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(ValueError):
        unpack(bytes(payload))


@given(st.binary(max_size=300))
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with suppress(ValueError):
        unpack(data)
        raise AssertionError(data)


def test_a_long_text_is_cut_and_says_so() -> None:
    row: AuditRecord = Record(1, 0, 0, bytes(32), Entry("a" * 1_000, "uid=0 pid=1", "X/Y"))
    content = unpack(pack(row)).content
    assert isinstance(content, Entry)
    assert len(content.actor) == TEXT_CHARACTERS_MAX
    assert content.actor.endswith("…")


def test_made_up_names_of_fields_make_no_long_record() -> None:
    fields = tuple(f"{number:0300d}" for number in range(1_000))
    row: AuditRecord = Record(1, 0, 0, bytes(32), Entry("a", "uid=0 pid=1", "X/Y", fields=fields))
    content = unpack(pack(row)).content
    assert isinstance(content, Entry)
    assert content.fields == fields[:3]
