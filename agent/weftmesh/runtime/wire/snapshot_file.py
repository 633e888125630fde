"""The bytes of a snapshot file: written and verified as a stream, a row in memory at a time. Pure but for its streams.

    magic 8 bytes | format u32 | crc32 u32 of both | rows | trailer

A row is length u32, crc32 u32 and its bytes; the first one is the SnapshotHeader. The trailer has the length
0xFFFFFFFF, the number of rows behind the header as u64, and the sha256 of everything before the digest. Integers are
little-endian.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from google.protobuf.message import DecodeError

from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.corruption import corrupted
from weftmesh.runtime.data_formats import check_format

FORMAT = 1
MAX_ROW_BYTES = 8 << 20

_CRC = struct.Struct("<I")
_OPENING = struct.Struct("<8sI")
_OPENING_BYTES = _OPENING.size + _CRC.size
_MAGIC = b"WEFTSNAP"
_ROW = struct.Struct("<II")
_TRAILER = struct.Struct("<IQ")
_TRAILER_LENGTH = 0xFFFFFFFF
_DIGEST_BYTES = 32
_PIECES_BEFORE_ROWS = 2
_DIGEST_PIECE_BYTES = 1 << 20
_BEHIND_THE_END = "bytes behind the end"


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


class _Parser:
    """What a snapshot's bytes say, whoever brings them: each piece is verified when it is taken in.

    Every method raises DataCorruptionError for what does not verify, and PreconditionError for a later format.
    """

    def __init__(self, path: Path) -> None:
        self.header: raft_pb2.SnapshotHeader | None = None
        self.ended = False
        self.size_bytes = 0
        """Of what was taken in."""
        self.wanted_bytes = _OPENING_BYTES
        """Of the next piece."""
        self._path = path
        self._digest = hashlib.sha256()
        self._rows = 0
        self._crc = 0
        self._take: Callable[[bytes], bytes | None] = self._opening

    @property
    def sha256(self) -> bytes:
        """Of everything taken in."""
        return self._digest.digest()

    def take(self, piece: bytes) -> bytes | None:
        """Take in the next `wanted_bytes`; returns them if they are a row behind the header."""
        row = self._take(piece)
        self._digest.update(piece)
        self.size_bytes += len(piece)
        return row

    def corrupted(self, found: str) -> DataCorruptionError:
        """The error for what follows the pieces taken in."""
        return corrupted(self._path, self.size_bytes, found)

    def _want(self, size_bytes: int, take: Callable[[bytes], bytes | None]) -> None:
        self.wanted_bytes, self._take = size_bytes, take

    def _opening(self, piece: bytes) -> None:
        magic, format_ = _OPENING.unpack_from(piece)
        if magic != _MAGIC or _CRC.unpack_from(piece, _OPENING.size)[0] != crc32(piece[: _OPENING.size]):
            raise self.corrupted("no valid beginning of a snapshot")
        if format_ != FORMAT:
            check_format(self._path, format_, FORMAT)
            raise self.corrupted(f"format {format_}, which no build wrote")
        self._want(_ROW.size, self._row_start)

    def _row_start(self, piece: bytes) -> None:
        length, self._crc = _ROW.unpack(piece)
        if length == _TRAILER_LENGTH and self.header is not None:
            self._want(_TRAILER.size - _ROW.size + _DIGEST_BYTES, lambda end: self._trailer(piece + end))
        elif length > MAX_ROW_BYTES:
            raise self.corrupted(f"a row of {length} bytes, at most {MAX_ROW_BYTES} are written")
        else:
            self._want(length, self._row)

    def _row(self, piece: bytes) -> bytes | None:
        if crc32(piece) != self._crc:
            raise self.corrupted("a row that does not verify")
        self._want(_ROW.size, self._row_start)
        if self.header is not None:
            self._rows += 1
            return piece
        try:
            self.header = raft_pb2.SnapshotHeader.FromString(piece)
        except DecodeError as error:
            raise self.corrupted(f"a header that does not parse: {error}") from error
        return None

    def _trailer(self, trailer: bytes) -> None:
        _, claimed = _TRAILER.unpack_from(trailer)
        if claimed != self._rows:
            raise self.corrupted(f"{self._rows} rows where {claimed} were written")
        digest = self._digest.copy()
        digest.update(trailer[_ROW.size : _TRAILER.size])
        if trailer[_TRAILER.size :] != digest.digest():
            raise self.corrupted("the sha256 does not fit")
        self.ended = True


class SnapshotReader:
    """Reads one snapshot from a stream; raises as its parser does."""

    def __init__(self, stream: BinaryIO, path: Path) -> None:
        self._stream = stream
        self._parser = _Parser(path)

    @property
    def size_bytes(self) -> int:
        """What was read so far."""
        return self._parser.size_bytes

    @property
    def sha256(self) -> bytes:
        """Of everything read so far."""
        return self._parser.sha256

    def header(self) -> raft_pb2.SnapshotHeader:
        """The header; to be called first."""
        while self._parser.header is None:
            self._step()
        return self._parser.header

    def rows(self) -> Iterator[bytes]:
        """The rows behind the header, each verified when it is yielded, the whole file when they end."""
        while not self._parser.ended:
            row = self._step()
            if row is not None:
                yield row
        if self._stream.read(1):
            raise self._parser.corrupted(_BEHIND_THE_END)

    def _step(self) -> bytes | None:
        piece = self._stream.read(self._parser.wanted_bytes)
        if len(piece) != self._parser.wanted_bytes:
            raise self._parser.corrupted("the file ends too early")
        return self._parser.take(piece)


class SnapshotVerifier:
    """Verifies a snapshot as it arrives, so that nothing is left to read when it is complete."""

    def __init__(self, path: Path) -> None:
        self._parser = _Parser(path)
        self._rest = b""
        """The beginning of a piece; smaller than a row."""

    @property
    def sha256(self) -> bytes:
        """Of the complete snapshot."""
        return self._parser.sha256

    def feed(self, data: bytes) -> None:
        """Take in what follows; raises as the parser does."""
        parser = self._parser
        data, start = self._rest + data, 0
        while not parser.ended and start + parser.wanted_bytes <= len(data):
            end = start + parser.wanted_bytes
            parser.take(data[start:end])
            start = end
        self._rest = data[start:]
        if parser.ended and self._rest:
            raise parser.corrupted(_BEHIND_THE_END)

    def finish(self) -> raft_pb2.SnapshotHeader:
        """The header of a snapshot that is complete.

        Raises:
            DataCorruptionError: it is not.
        """
        if self._parser.header is None or not self._parser.ended:
            raise self._parser.corrupted("the file ends too early")
        return self._parser.header


def digest_of(stream: BinaryIO, size_bytes: int) -> bytes | None:
    """The sha256 of a snapshot of `size_bytes`, read in large pieces; None unless its trailer confirms it.

    Says whether a file is as it was written, at a small part of the cost of looking at each row.
    """
    digest = hashlib.sha256()
    left_bytes = size_bytes - _DIGEST_BYTES
    while left_bytes > 0 and (piece := stream.read(min(left_bytes, _DIGEST_PIECE_BYTES))):
        digest.update(piece)
        left_bytes -= len(piece)
    end = stream.read(_DIGEST_BYTES + 1)
    if left_bytes or end != digest.digest():
        return None
    digest.update(end)
    return digest.digest()
