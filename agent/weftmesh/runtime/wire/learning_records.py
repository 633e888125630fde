"""Immutable records as messages that have the same fields under the same names, and back.

The learning machine's commands and rows are many and rare: one rule for all of them is worth more than the microseconds
that code for each would save. A field may be a number, a text, bytes, an enum of numbers or of words, another record,
a record or None, or a tuple of these, of pairs of texts (key and value), or of records of several kinds, which stand in
a message with one field for each of them in the oneof `kind`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from google.protobuf.message import Message

from weftmesh.core.errors import InvalidInputError

_Record = TypeVar("_Record")

_ONEOF: Final = "kind"
_SCALARS: Final = (bool, int, float, str, bytes)
_Decoder = Callable[[Message, str], object]
_DECODERS: Final[dict[type[object], Mapping[str, _Decoder]]] = {}
"""By record and field; made when the first of its kind is read."""


def fill(message: Message, record: object, leave_out: frozenset[str] = frozenset()) -> None:
    """Fill an empty `message` with the fields of `record`, but for those to leave out.

    Raises:
        ValueError: a value that the message's field cannot carry.
    """
    for one in fields(record):  # type: ignore[arg-type]  # every caller has a record
        if one.name not in leave_out:
            _put(message, one.name, getattr(record, one.name))


def _put(message: Message, name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, tuple):
        target = getattr(message, name)
        for item in value:
            if is_dataclass(item):
                _fill_item(target.add(), item)
            elif isinstance(item, tuple):
                key, value_ = item
                target.add(key=key, value=value_)
            else:
                target.append(item)
    elif is_dataclass(value):
        part = getattr(message, name)
        part.SetInParent()
        fill(part, value)
    else:
        setattr(message, name, value)


def _fill_item(message: Message, item: object) -> None:
    if _ONEOF in message.DESCRIPTOR.oneofs_by_name:
        message = getattr(message, field_name(type(item)))
        message.SetInParent()
    fill(message, item)


def field_name(kind: type[object]) -> str:
    """The name of the field that holds a record of this kind: ResponseTime stands in response_time."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def read(kind: type[_Record], message: Message, given: Mapping[str, object] | None = None) -> _Record:
    """Return the record of `kind` in `message`, which leaves out the fields that are `given`.

    Raises:
        InvalidInputError: a number or word that is none of an enum's, or a part that is missing.
    """
    values = dict(given or {})
    for name, decoder in _decoders_of(kind).items():
        if name not in values:
            values[name] = decoder(message, name)
    return kind(**values)


def _decoders_of(kind: type[object]) -> Mapping[str, _Decoder]:
    known = _DECODERS.get(kind)
    if known is None:
        hints = get_type_hints(kind)
        known = _DECODERS[kind] = {name: _decoder(hint) for name, hint in hints.items()}
    return known


def _decoder(hint: Any) -> _Decoder:
    if get_origin(hint) is tuple:
        return _tuple_decoder(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        kind = next(one for one in get_args(hint) if one is not type(None))
        return lambda message, name: read(kind, getattr(message, name)) if message.HasField(name) else None
    if hint in _SCALARS:
        return getattr
    if issubclass(hint, Enum):
        return lambda message, name: _member(hint, getattr(message, name), name)
    return lambda message, name: _part(hint, message, name)


def _tuple_decoder(item: Any) -> _Decoder:
    if item in _SCALARS:
        return lambda message, name: tuple(getattr(message, name))
    if get_origin(item) is tuple:
        return lambda message, name: tuple([(part.key, part.value) for part in getattr(message, name)])
    if get_origin(item) in (Union, UnionType):
        kinds = {field_name(kind): kind for kind in get_args(item)}
        return lambda message, name: tuple([_one_of(kinds, part, name) for part in getattr(message, name)])
    return lambda message, name: tuple([read(item, part) for part in getattr(message, name)])


def _one_of(kinds: Mapping[str, type[object]], message: Message, where: str) -> object:
    name = message.WhichOneof(_ONEOF)
    if name not in kinds:
        raise InvalidInputError(f"{where}: one is of no kind this version knows; upgrade this node if others are newer")
    return read(kinds[name], getattr(message, name))


def _member(kind: type[Enum], value: object, name: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(f"{one.value} ({one.name.lower()})" for one in kind)
        raise InvalidInputError(
            f"{name}: {value!r} is not one this version knows; known: {known}. Upgrade this node if others are newer"
        ) from None


def _part(kind: type[object], message: Message, name: str) -> object:
    if not message.HasField(name):
        raise InvalidInputError(f"{name}: is missing; send it")
    return read(kind, getattr(message, name))
