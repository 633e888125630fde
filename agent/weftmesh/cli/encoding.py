"""Messages of the protocol as JSON values: the protocol's names, words for enums, ISO 8601 for times."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp


def to_json(message: Message) -> dict[str, Any]:
    """Every field of `message`, so that a script finds the same keys every time.

    An absent message or optional number is null, an enum its word (`doing`), a time ISO 8601 in UTC, a duration a
    number of seconds, bytes hex.
    """
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def iso_time(time: Timestamp) -> str:
    """ISO 8601, in UTC."""
    return time.ToJsonString()


def enum_word(enum: EnumDescriptor, number: int) -> str:
    """The last part of an enum value's name in lower case: TASK_STATUS_DOING is `doing`; `unspecified` for 0."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    value = enum.values_by_number.get(number)
    return str(number) if value is None else value.name.removeprefix(prefix).lower()


def _field(message: Message, field: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(sorted(getattr(message, field.name).items()))
    if field.is_repeated:
        return [_value(field, item) for item in getattr(message, field.name)]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(field, getattr(message, field.name))


def _value(field: Any, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return iso_time(value)
    if isinstance(value, Duration):
        return value.ToNanoseconds() / 1e9
    if isinstance(value, Message):
        return to_json(value)
    if isinstance(value, bytes):
        return value.hex()
    return enum_word(field.enum_type, value) if field.enum_type is not None else value
