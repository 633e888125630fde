"""A chain's files, read one after another: every record, and every part that is none. Nothing here writes.

A file is a run of records in frames (`runtime.frames`), named after the first sequence in it, so that names sort as the
chain runs. Only one file is in memory at a time, however long the chain is. The calls block.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from weftmesh.core.hash_chain import Codec, Head, Record, hash_of
from weftmesh.runtime.frames import pieces

READ_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of one file: far more than the node ever writes to one."""
_SEQUENCE_DIGITS: Final = 20

ContentT = TypeVar("ContentT")


@dataclass(frozen=True, slots=True)
class Form(Generic[ContentT]):
    """What one chain differs in from others.

    Attributes:
        name: for people.
        suffix: of its files.
        codec: writes records down.
    """

    name: str
    suffix: str
    codec: Codec[ContentT]

    def file_name(self, first_sequence: int) -> str:
        """The name of the file that begins with this record."""
        return f"{first_sequence:0{_SEQUENCE_DIGITS}d}{self.suffix}"

    def paths(self, directory: Path) -> list[Path]:
        """The chain's files, oldest first."""
        return sorted(directory.glob("[0-9]" * _SEQUENCE_DIGITS + self.suffix))


class Part(NamedTuple):
    """A file of a chain, as far as it counts: what follows was never acknowledged, or came later."""

    path: Path
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Piece(Generic[ContentT]):
    """What stands at one place of a file."""

    path: Path
    offset_bytes: int
    end_bytes: int
    record: Record[ContentT] | None
    """None where the bytes are no record that can be read."""
    payload: bytes = b""
    """What the record's hash is of."""
    found: str = ""
    """Why there is no record."""

    @property
    def head(self) -> Head:
        """The record's own number and hash."""
        return Head(0 if self.record is None else self.record.sequence, hash_of(self.payload))


def read_part(part: Part, codec: Codec[ContentT]) -> Iterator[Piece[ContentT]]:
    """Everything in one file, in order."""
    path = part.path
    try:
        with path.open("rb") as stream:
            data = stream.read(min(part.size_bytes, READ_BYTES_MAX))
    except OSError as error:
        yield Piece(path, 0, 0, None, found=f"the file cannot be read: {error.strerror}")
        return
    for begin, end, payload in pieces(data):
        if payload is None:
            yield Piece(path, begin, end, None, found=f"bytes {begin} to {end} are no record")
            continue
        try:
            record = codec.unpack(payload)
        except ValueError as error:
            yield Piece(path, begin, end, None, found=f"bytes {begin} to {end} are {error}")
        else:
            yield Piece(path, begin, end, record, payload)
    if len(data) < part.size_bytes:
        found = f"the rest of {part.size_bytes} bytes that the file should have cannot be read"
        yield Piece(path, len(data), part.size_bytes, None, found=found)


def read_parts(parts: list[Part], codec: Codec[ContentT]) -> Iterator[Piece[ContentT]]:
    """Everything in the chain, in order."""
    for part in parts:
        yield from read_part(part, codec)


def is_sealed(path: Path) -> bool:
    """Whether the node has done with this file."""
    try:
        return not os.stat(path).st_mode & stat.S_IWUSR
    except OSError:
        return False


def size_of(path: Path) -> int:
    """Bytes in a file; 0 if it is gone."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
