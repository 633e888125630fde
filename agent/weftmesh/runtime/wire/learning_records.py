"""Immutable records as messages that have the same fields under the same names, and back.

The learning machine's commands and rows are many and rare: one rule for all of them is worth more than the microseconds
that code for each would save. A field may be a number, a text, bytes, an enum of numbers or of words, another record,
a record or None, or a tuple of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from google.protobuf.message import Message

from weftmesh.core.errors import InvalidInputError

_Record = TypeVar("_Record")

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
                fill(target.add(), item)
            else:
                target.append(item)
    elif is_dataclass(value):
        part = getattr(message, name)
        part.SetInParent()
        fill(part, value)
    else:
        setattr(message, name, value)


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
    return lambda message, name: tuple([read(item, part) for part in getattr(message, name)])


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
