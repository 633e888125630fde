"""The bytes of a snapshot file: written and verified as a stream, a row in memory at a time. Pure but for its streams.

    magic 8 bytes | format u32 | crc32 u32 of both | rows | trailer

A row is length u32, crc32 u32 and its bytes; the first one is the SnapshotHeader. The trailer has the length
0xFFFFFFFF, the number of rows behind the header as u64, and the sha256 of everything before the digest. Integers are
little-endian.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from google.protobuf.message import DecodeError

from weftmesh.agent.raft.corruption import corrupted
from weftmesh.core.errors import InvalidInputError, PreconditionError
from weftmesh.mesh.v1 import raft_pb2

FORMAT = 1
MAX_ROW_BYTES = 8 << 20

_CRC = struct.Struct("<I")
_OPENING = struct.Struct("<8sI")
_OPENING_BYTES = _OPENING.size + _CRC.size
_MAGIC = b"WEFTSNAP"
_LENGTH = struct.Struct("<I")
_ROW = struct.Struct("<II")
_TRAILER = struct.Struct("<IQ")
_TRAILER_LENGTH = 0xFFFFFFFF
_DIGEST_BYTES = 32
_PIECES_BEFORE_ROWS = 2


def encode(header: raft_pb2.SnapshotHeader, rows: Iterable[bytes]) -> Iterator[bytes]:
    """The file's pieces, in order.

    Raises:
        InvalidInputError: a row is larger than MAX_ROW_BYTES.
    """
    digest = hashlib.sha256()
    pieces = 0
    for piece in _body(header, rows):
        digest.update(piece)
        pieces += 1
        yield piece
    trailer = _TRAILER.pack(_TRAILER_LENGTH, pieces - _PIECES_BEFORE_ROWS)
    digest.update(trailer)
    yield trailer + digest.digest()


def _body(header: raft_pb2.SnapshotHeader, rows: Iterable[bytes]) -> Iterator[bytes]:
    opening = _OPENING.pack(_MAGIC, FORMAT)
    yield opening + _CRC.pack(crc32(opening))
    yield _pack_row(header.SerializeToString(deterministic=True))
    for row in rows:
        yield _pack_row(row)


def _pack_row(row: bytes) -> bytes:
    if len(row) > MAX_ROW_BYTES:
        raise InvalidInputError(f"a snapshot row of {len(row)} bytes is too large, at most {MAX_ROW_BYTES}")
    return _ROW.pack(len(row), crc32(row)) + row


class SnapshotReader:
    """Reads one snapshot from a stream.

    Every method raises DataCorruptionError for what does not verify, and PreconditionError for a later format.

    Attributes:
        size_bytes: what was read so far.
    """

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> bytes:
        """Of everything read so far."""
        return self._digest.digest()

    def header(self) -> raft_pb2.SnapshotHeader:
        """The header; to be called first."""
        opening = self._read(_OPENING_BYTES)
        magic, format_ = _OPENING.unpack_from(opening)
        if magic != _MAGIC or _CRC.unpack_from(opening, _OPENING.size)[0] != crc32(opening[: _OPENING.size]):
            raise corrupted(self._path, 0, "no valid beginning of a snapshot")
        if format_ != FORMAT:
            raise PreconditionError(f"{self._path} is of format {format_}, this program reads {FORMAT}; upgrade it")
        row = self._row(*_ROW.unpack(self._read(_ROW.size)))
        try:
            return raft_pb2.SnapshotHeader.FromString(row)
        except DecodeError as error:
            raise corrupted(self._path, _OPENING_BYTES, f"a header that does not parse: {error}") from error

    def rows(self) -> Iterator[bytes]:
        """The rows behind the header, each verified when it is yielded, the whole file when they end."""
        count = 0
        while True:
            start = self._read(_LENGTH.size)
            (length,) = _LENGTH.unpack(start)
            if length == _TRAILER_LENGTH:
                return self._check_trailer(count)
            yield self._row(length, *_CRC.unpack(self._read(_CRC.size)))
            count += 1

    def _row(self, length: int, crc: int) -> bytes:
        offset = self.size_bytes
        if length > MAX_ROW_BYTES:
            raise corrupted(self._path, offset, f"a row of {length} bytes, at most {MAX_ROW_BYTES} are written")
        row = self._read(length)
        if crc32(row) != crc:
            raise corrupted(self._path, offset, "a row that does not verify")
        return row

    def _check_trailer(self, count: int) -> None:
        (claimed,) = struct.unpack("<Q", self._read(_TRAILER.size - _LENGTH.size))
        if claimed != count:
            raise corrupted(self._path, self.size_bytes, f"{count} rows where {claimed} were written")
        expected = self.sha256
        if self._read(_DIGEST_BYTES) != expected:
            raise corrupted(self._path, self.size_bytes, "the sha256 does not fit")
        if self._stream.read(1):
            raise corrupted(self._path, self.size_bytes, "bytes behind the end")

    def _read(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise corrupted(self._path, self.size_bytes, "the file ends too early")
        self._digest.update(data)
        self.size_bytes += size
        return data
