"""Equal small values share one object: a hundred thousand tasks repeat the same few names, label sets and custom keys.

Sharing is invisible to equality and to hashes; it only decides how much memory a board needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, TypeVar, overload

_SHARED_TEXT_CHARACTERS: Final = 64
"""Longer values seldom repeat."""
_SHARED_TEXTS: Final = 16_384
"""The latest different ones; `sys.intern` would pay for every text that never repeats."""
_SHARED_COLLECTIONS: Final = 4_096

_Default = TypeVar("_Default")


class PackedFields(Mapping[str, str]):
    """An immutable mapping of a few short texts whose keys are shared between tasks; half the size of a dict."""

    __slots__ = ("names", "texts")

    names: tuple[str, ...]
    """The keys, sorted."""
    texts: tuple[str, ...]
    """The values, in the order of the keys."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        names = tuple(sorted(fields))
        self.names = shared_names(names)
        self.texts = tuple([shared_text(fields[name]) for name in names])

    @classmethod
    def of(cls, names: tuple[str, ...], texts: tuple[str, ...]) -> PackedFields:
        """A mapping of different sorted `names`, and as many `texts`, taken as they are."""
        fields = cls.__new__(cls)
        fields.names = names
        fields.texts = texts
        return fields

    def __getitem__(self, key: str) -> str:
        try:
            return self.texts[self.names.index(key)]
        except ValueError:
            raise KeyError(key) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"

    @overload
    def get(self, key: str, /) -> str | None: ...
    @overload
    def get(self, key: str, default: str | _Default, /) -> str | _Default: ...
    def get(self, key: str, default: str | _Default | None = None, /) -> str | _Default | None:
        """The value at `key`, or `default`."""
        return self.texts[self.names.index(key)] if key in self.names else default


def packed(fields: Mapping[str, str] | None) -> PackedFields | None:
    """`fields` as small as they get; None when there are none."""
    if not fields:
        return None
    if isinstance(fields, PackedFields):
        return fields
    names = tuple(sorted(fields))
    return shared_fields(names, tuple([shared_text(fields[name]) for name in names]))


@lru_cache(maxsize=_SHARED_COLLECTIONS)
def shared_fields(names: tuple[str, ...], texts: tuple[str, ...]) -> PackedFields:
    """A mapping of different sorted `names`, and as many `texts`, as one object for those in use most."""
    return PackedFields.of(shared_names(names), texts)


def shared_text(text: str) -> str:
    """`text`, as one object for all equal short texts."""
    return _shared_text(text) if len(text) <= _SHARED_TEXT_CHARACTERS else text


def shared_texts(texts: Iterable[str]) -> list[str]:
    """Each of `texts` as `shared_text` gives it."""
    return [_shared_text(text) if len(text) <= _SHARED_TEXT_CHARACTERS else text for text in texts]


@lru_cache(maxsize=_SHARED_TEXTS)
def _shared_text(text: str) -> str:
    return text


def shared_set(items: frozenset[str]) -> frozenset[str]:
    """`items`, as one object for the sets in use most."""
    return _shared_set(items) if items else frozenset()


@lru_cache(maxsize=_SHARED_COLLECTIONS)
def _shared_set(items: frozenset[str]) -> frozenset[str]:
    return frozenset([shared_text(item) for item in items])


@lru_cache(maxsize=_SHARED_COLLECTIONS)
def shared_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """`names`, as one object for the sets of custom keys in use most."""
    return tuple([shared_text(name) for name in names])
