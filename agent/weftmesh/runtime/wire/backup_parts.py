"""The parts of a backup as a file holds them: magic, then each BackupPart behind its length as 4 bytes, little-endian.

This is what is inside the encryption; the encryption tells of damage, the closing part of a missing end.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

from google.protobuf.message import DecodeError

from weftmesh.core.errors import DataCorruptionError
from weftmesh.mesh.v1 import backup_pb2
from weftmesh.runtime.data_formats import check_format

FORMAT: Final = 1
BOARDS_MAX: Final = 2
"""The replicated one, and the node's own."""
DATA_BYTES_MAX: Final = 1024 * 1024
"""Of a snapshot in one part."""
PART_BYTES_MAX: Final = DATA_BYTES_MAX + 64 * 1024
MAGIC: Final = b"WEFTBKUP"
_LENGTH: Final = struct.Struct("<I")


class PartsChecker:
    """Tells whether parts come in order and whether all came, on whichever side they arrive.

    Attributes:
        opening: once it came.
        closed: whether the closing came, which ends the parts.
    """

    def __init__(self) -> None:
        self.opening: backup_pb2.BackupOpening | None = None
        self.closed = False
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._board = 0

    def take(self, part: backup_pb2.BackupPart) -> None:
        """Take in the next part.

        Raises:
            DataCorruptionError: it does not follow, or what came is not what was sent.
            PreconditionError: it is of a later format.
        """
        kind = part.WhichOneof("part")
        if self.closed or kind is None or (kind == "opening") is not (self.opening is None):
            raise damaged(f"a part of kind {kind} out of order")
        if kind == "opening":
            self._open(part.opening)
        elif kind == "data":
            self._data(part.data)
        else:
            self._close(part.closing)

    def finish(self) -> backup_pb2.BackupOpening:
        """The opening of a backup that is complete.

        Raises:
            DataCorruptionError: it is not.
        """
        if self.opening is None or not self.closed:
            raise damaged("it ends too early")
        return self.opening

    def _open(self, opening: backup_pb2.BackupOpening) -> None:
        check_format(f"the backup, which weftmesh {opening.version} wrote,", opening.format, FORMAT)
        if opening.format != FORMAT:
            raise damaged(f"format {opening.format}, which no build wrote")
        if not 1 <= len(opening.boards) <= BOARDS_MAX:
            raise damaged(f"{len(opening.boards)} boards, 1 to {BOARDS_MAX} are written")
        self.opening = opening

    def _data(self, data: backup_pb2.BackupData) -> None:
        assert self.opening is not None  # noqa: S101, `take` saw to it
        if not self._board <= data.board < len(self.opening.boards):
            raise damaged(f"data of board {data.board} out of order")
        self._board = data.board
        self._digest.update(data.data)
        self._size_bytes += len(data.data)

    def _close(self, closing: backup_pb2.BackupClosing) -> None:
        if (closing.size_bytes, closing.sha256) != (self._size_bytes, self._digest.digest()):
            raise damaged("size or sha256 is not what the node sent")
        self.closed = True


def closing_of(digest: hashlib._Hash, size_bytes: int) -> backup_pb2.BackupPart:
    """The last part behind data of `size_bytes` with `digest`, a sha256."""
    return backup_pb2.BackupPart(closing=backup_pb2.BackupClosing(size_bytes=size_bytes, sha256=digest.digest()))


def packed(part: backup_pb2.BackupPart) -> bytes:
    """A part as it stands in the file, behind MAGIC and the parts before it."""
    data = part.SerializeToString(deterministic=True)
    return _LENGTH.pack(len(data)) + data


def read_parts(stream: BinaryIO) -> Iterator[backup_pb2.BackupPart]:
    """Every part of a file, each checked when it is yielded, the whole when they end.

    Raises:
        DataCorruptionError: it is no backup, or not as it was written.
        PreconditionError: it is of a later format.
    """
    if stream.read(len(MAGIC)) != MAGIC:
        raise damaged("it does not begin as a backup of weftmesh")
    checker = PartsChecker()
    while header := stream.read(_LENGTH.size):
        part = _read_part(stream, header)
        checker.take(part)
        yield part
    checker.finish()


def _read_part(stream: BinaryIO, header: bytes) -> backup_pb2.BackupPart:
    if len(header) != _LENGTH.size:
        raise damaged("it ends too early")
    (length,) = _LENGTH.unpack(header)
    if length > PART_BYTES_MAX:
        raise damaged(f"a part of {length} bytes, at most {PART_BYTES_MAX} are written")
    data = stream.read(length)
    if len(data) != length:
        raise damaged("it ends too early")
    try:
        return backup_pb2.BackupPart.FromString(data)
    except DecodeError as error:
        raise damaged(f"a part that does not parse ({error})") from error


def damaged(found: str) -> DataCorruptionError:
    """The error for a backup in which `found` was met; who knows the file adds its name."""
    return DataCorruptionError(f"the backup is damaged: {found}", reason="BACKUP_DAMAGED", metadata={"found": found})
