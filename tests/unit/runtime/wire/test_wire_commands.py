"""Commands survive the log unchanged, and what is not a command is refused."""

from __future__ import annotations

from contextlib import suppress
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import strategies

from weftmesh.board.v1.command_pb2 import BoardCommand
from weftmesh.core.board import commands as core
from weftmesh.core.board.model import Status
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.wire.commands import command_from_bytes, command_to_bytes, decode_command, encode_command

HEADER = core.Header("ann@node1", 7 << 16)


@pytest.mark.parametrize("kind", get_args(core.Command))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_command_comes_back_as_it_was(kind: type[core.Command], data: st.DataObject) -> None:
    command = data.draw(strategies.command_kinds[kind])
    assert command_from_bytes(command_to_bytes(command)) == command


def test_every_kind_of_the_format_is_decoded() -> None:
    for field in BoardCommand.DESCRIPTOR.oneofs_by_name["kind"].fields:
        message = BoardCommand()
        getattr(message, field.name).SetInParent()
        if field.name == "create_project":
            message.create_project.merge_policy = 1
        assert type(decode_command(message)).__name__.lower() == field.name.replace("_", "")


@given(strategies.field_values)
def test_equal_commands_make_equal_bytes(fields: dict[str, str]) -> None:
    backwards = dict(reversed(fields.items()))
    first, second = (core.CreateTask(HEADER, "PROJ", "ID", given_order) for given_order in (fields, backwards))
    assert command_to_bytes(first) == command_to_bytes(second)


def test_a_known_status_comes_back_as_its_enum_and_an_unknown_one_as_its_number() -> None:
    for number, expected in ((2, Status.DOING), (99, 99)):
        decoded = decode_command(encode_command(core.UpdateTask(HEADER, "ID", {"status": number})))
        assert isinstance(decoded, core.UpdateTask)
        assert decoded.changes["status"] == expected
        assert isinstance(decoded.changes["status"], Status) == (number == 2)


@given(st.binary(max_size=200))
def test_hostile_bytes_are_refused_and_nothing_worse(data: bytes) -> None:
    with suppress(InvalidInputError):
        command_from_bytes(data)


@given(strategies.commands, st.data())
def test_a_damaged_command_is_refused_or_read_and_nothing_worse(command: core.Command, data: st.DataObject) -> None:
    damaged = bytearray(command_to_bytes(command))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(InvalidInputError):
        command_from_bytes(bytes(damaged))


def test_an_unknown_kind_says_what_to_do() -> None:
    with pytest.raises(InvalidInputError, match="upgrade this node"):
        decode_command(BoardCommand(actor="ann@node1"))


def test_a_field_given_twice_is_refused() -> None:
    message = encode_command(core.UpdateTask(HEADER, "ID", {"title": "a"}))
    message.update_task.changes.add(path="title").value.text = "b"
    with pytest.raises(InvalidInputError, match="occurs twice among"):
        decode_command(message)


@pytest.mark.parametrize("value", [2**31, "\ud800"])
def test_a_value_that_the_format_cannot_carry_is_refused(value: int | str) -> None:
    with pytest.raises(InvalidInputError, match="UpdateTask"):
        encode_command(core.UpdateTask(HEADER, "ID", {"custom.k": value}))
