"""The value of one field, as it stands in commands and in snapshot rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from weftmesh.board.v1 import command_pb2
from weftmesh.core.board.compact import shared_text
from weftmesh.core.board.model import DueAt, DueDate, FieldValue, Priority, Status
from weftmesh.core.errors import InvalidInputError

_ENUM_PATHS: Final[Mapping[str, Mapping[int, int]]] = {
    "status": {int(status): status for status in Status},
    "priority": {int(priority): priority for priority in Priority},
}


class FieldEntries(Protocol):
    """A repeated FieldEntry that can grow."""

    def add(self) -> command_pb2.FieldEntry:
        """Append an empty entry and return it."""


def encode_value(value: FieldValue, into: command_pb2.FieldValue) -> None:
    """Set `into`, which is empty, to `value`. Sets are written sorted.

    Raises:
        ValueError: a number or a text that protobuf cannot carry.
    """
    if isinstance(value, str):
        into.text = value
    elif value is None:
        into.none = True
    elif isinstance(value, frozenset):
        into.set.SetInParent()
        into.set.items.extend(sorted(value))
    elif isinstance(value, int):
        into.number = value
    elif isinstance(value, float):
        into.real = value
    elif isinstance(value, DueDate):
        into.due_date = value.iso
    else:
        into.due_at.epoch_ms = value.epoch_ms
        into.due_at.zone = value.zone


def decode_value(path: str, message: command_pb2.FieldValue) -> FieldValue:
    """Return the value that `message` holds for the field `path`.

    Numbers of `status` and `priority` come back as their enums where they are known, otherwise as they are: whether a
    value is allowed is for the board to say.

    Raises:
        InvalidInputError: no kind of value is set that this version knows.
    """
    # Most values are texts, and asking which kind is set costs more than reading one.
    text = message.text
    if text:
        return text
    kind = message.WhichOneof("kind")
    decode = _DECODERS.get(kind) if kind is not None else None
    if decode is not None:
        return decode(path, message)
    raise InvalidInputError(
        f"the value of field {path!r} is of no kind this version knows; upgrade this node if others are newer"
    )


def _decode_number(path: str, message: command_pb2.FieldValue) -> FieldValue:
    number = message.number
    known = _ENUM_PATHS.get(path)
    return number if known is None else known.get(number, number)


_DECODERS: Final[Mapping[str, Callable[[str, command_pb2.FieldValue], FieldValue]]] = {
    "text": lambda _, message: message.text,
    "number": _decode_number,
    "real": lambda _, message: message.real,
    "set": lambda _, message: frozenset(message.set.items),
    "due_date": lambda _, message: DueDate(message.due_date),
    "due_at": lambda _, message: DueAt(message.due_at.epoch_ms, message.due_at.zone),
    "none": lambda *_: None,
}


def encode_entries(values: Mapping[str, FieldValue], into: FieldEntries) -> None:
    """Append `values` to `into` in the order of their paths: equal mappings make equal bytes.

    Raises:
        ValueError: a number or a text that protobuf cannot carry.
    """
    for path in sorted(values):
        entry = into.add()
        entry.path = path
        encode_value(values[path], entry.value)


def decode_entries(entries: Iterable[command_pb2.FieldEntry]) -> dict[str, FieldValue]:
    """Return path -> value.

    Raises:
        InvalidInputError: a path occurs twice, or a value is of no known kind.
    """
    values: dict[str, FieldValue] = {}
    count = 0
    for entry in entries:
        path = shared_text(entry.path)
        values[path] = decode_value(path, entry.value)
        count += 1
    if len(values) != count:
        raise InvalidInputError(f"a field occurs twice among {sorted(values)}; give each field once")
    return values
