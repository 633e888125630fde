"""The learning machine's commands survive the log and its state a snapshot; what is neither is refused."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from typing import get_args

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.learning.random_logs import random_learning_log

from weftmesh.core.board.commands import Header
from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.core.learning import commands as core
from weftmesh.core.learning.machine import Learning
from weftmesh.core.learning.model import Coordinator, Job, NoisePolicy, Row
from weftmesh.core.learning.outcomes import LearningEvent
from weftmesh.learning.v1 import command_pb2, row_pb2
from weftmesh.learning.v1.command_pb2 import LearningCommand
from weftmesh.learning.v1.row_pb2 import LearningRow
from weftmesh.runtime.wire.learning_commands import (
    decode_learning_command,
    encode_learning_command,
    learning_command_from_bytes,
)
from weftmesh.runtime.wire.learning_rows import learning_from_rows, learning_rows

logs = st.builds(random_learning_log, st.integers(0, 2**32), st.integers(1, 5).map(lambda tens: tens * 10))
quick = settings(max_examples=20, deadline=None)
BY = Coordinator("n1", 5)


def learned(log: list[core.Command]) -> Learning:
    learning = Learning()
    for command in log:
        learning.apply(command)
    return learning


def field_names(descriptor: Descriptor) -> set[str]:
    return {field.name for field in descriptor.fields}


@pytest.mark.parametrize("kind", get_args(core.Command))
def test_a_command_s_message_has_its_fields(kind: type[core.Command]) -> None:
    descriptor = command_pb2.DESCRIPTOR.message_types_by_name[kind.__name__]
    assert field_names(descriptor) == {one.name for one in fields(kind)} - {"header"}


@pytest.mark.parametrize("kind", [*get_args(Row), LearningEvent])
def test_a_row_s_message_has_its_fields(kind: type[Row]) -> None:
    descriptor = row_pb2.DESCRIPTOR.message_types_by_name[kind.__name__]
    assert field_names(descriptor) == {one.name for one in fields(kind)}


def test_every_kind_of_command_has_a_case() -> None:
    cases = LearningCommand.DESCRIPTOR.oneofs_by_name["kind"].fields
    assert {case.message_type.name for case in cases if case.message_type} == {
        kind.__name__ for kind in get_args(core.Command)
    }


@quick
@given(logs)
def test_a_command_comes_back_as_it_was(log: list[core.Command]) -> None:
    for command in log:
        data = encode_learning_command(command).SerializeToString(deterministic=True)
        assert learning_command_from_bytes(data) == command


@quick
@given(logs)
def test_a_log_of_decoded_commands_makes_the_same_state(log: list[core.Command]) -> None:
    decoded = [decode_learning_command(encode_learning_command(command)) for command in log]
    assert learned(decoded).state_hash == learned(log).state_hash


@quick
@given(logs)
def test_a_state_comes_back_from_its_rows(log: list[core.Command]) -> None:
    learning = learned(log)
    rows = list(learning_rows(learning.freeze()))
    restored = learning_from_rows(rows)
    restored.check()
    assert restored.freeze() == learning.freeze()
    assert list(learning_rows(restored.freeze())) == rows


def test_an_empty_machine_has_no_rows_and_no_rows_are_an_empty_machine() -> None:
    assert list(learning_rows(Learning().freeze())) == []
    assert learning_from_rows([]).revision == 0


def test_a_machine_that_only_refused_is_not_empty() -> None:
    learning = Learning()
    learning.apply(core.SwitchJob(Header("ann@n1", 1, bytes(16)), "nothing", enabled=True))
    restored = learning_from_rows(learning_rows(learning.freeze()))
    assert restored.state_hash == learning.state_hash != "0" * 32


def damaged(change: Callable[[list[bytes]], None]) -> list[bytes]:
    rows = list(learning_rows(learned(random_learning_log(3, 60)).freeze()))
    change(rows)
    return rows


def drop_header(rows: list[bytes]) -> None:
    del rows[0]


def repeat_header(rows: list[bytes]) -> None:
    rows.insert(1, rows[0])


def lose_a_row(rows: list[bytes]) -> None:
    del rows[2]


def cut_a_row(rows: list[bytes]) -> None:
    rows[1] = rows[1][:-3]


def know_no_kind(rows: list[bytes]) -> None:
    rows[1] = b""


def know_no_stage(rows: list[bytes]) -> None:
    row = LearningRow()
    row.version.signer.SetInParent()
    row.version.stage = 77
    rows[1] = row.SerializeToString()


def lack_a_part(rows: list[bytes]) -> None:
    row = LearningRow()
    row.job.name = "effort"
    rows[1] = row.SerializeToString()


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        (drop_header, "the header comes first"),
        (repeat_header, "the header comes first, once"),
        (lose_a_row, "all rows together have the state hash"),
        (cut_a_row, "row 2 of the snapshot's learning part"),
        (know_no_kind, "no kind this version knows"),
        (know_no_stage, "stage: 77 is not one this version knows"),
        (lack_a_part, "coordinator: is missing"),
    ],
)
def test_rows_that_are_damaged_are_refused(change: Callable[[list[bytes]], None], saying: str) -> None:
    with pytest.raises(DataCorruptionError, match=saying) as caught:
        learning_from_rows(damaged(change))
    assert "restore the node from its peers" in str(caught.value)


@given(st.binary(max_size=200))
def test_hostile_bytes_are_refused_and_nothing_worse(data: bytes) -> None:
    with suppress(InvalidInputError):
        learning_command_from_bytes(data)
    with suppress(DataCorruptionError):
        learning_from_rows([data])


@quick
@given(logs, st.data())
def test_a_damaged_command_is_refused_or_read_and_applied_or_not(log: list[core.Command], data: st.DataObject) -> None:
    learning = learned(log)
    command = data.draw(st.sampled_from(log))
    damage = bytearray(encode_learning_command(command).SerializeToString())
    damage[data.draw(st.integers(0, len(damage) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(InvalidInputError):
        learning.apply(learning_command_from_bytes(bytes(damage)))
    learning.check()


def test_an_unknown_kind_and_a_value_of_no_kind_say_what_to_do() -> None:
    with pytest.raises(InvalidInputError, match="upgrade this node"):
        decode_learning_command(LearningCommand(actor="ann@n1"))
    message = LearningCommand()
    message.open_round.coordinator.term = 1
    message.open_round.kind = 9
    with pytest.raises(InvalidInputError, match=r"kind: 9 .* Upgrade this node"):
        decode_learning_command(message)


@pytest.mark.parametrize(
    "command",
    [
        core.SetOptOut(Header("ann@n1", 1), "\ud800"),
        core.AddVersion(Header("ann@n1", 1), "effort", BY, bytes(32), -1, 2),
        core.AddVersion(Header("ann@n1", 1), "effort", BY, bytes(32), 2**64, 2),
    ],
)
def test_a_value_that_the_format_cannot_carry_is_refused(command: core.Command) -> None:
    with pytest.raises(InvalidInputError, match="cannot be written down"):
        encode_learning_command(command)


def test_a_job_without_a_privacy_budget_comes_back_without_one() -> None:
    for noise in (None, NoisePolicy(1.0, 2.0, 10**9)):
        command = core.DefineJob(Header("ann@n1", 1), "effort", b"", 3, 60, noise)
        job = learned([command]).job("effort")
        assert isinstance(job, Job)
        restored = learning_from_rows(learning_rows(learned([command]).freeze())).job("effort")
        assert restored == job
        assert restored.noise == noise
