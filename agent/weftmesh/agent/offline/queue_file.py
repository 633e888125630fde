"""The file under the queue: records are appended and synced, and rewritten without those that are no longer needed.

Damage does not stop the node: what cannot be read is set aside in a file of its own, counted and told, and everything
else is kept. The calls block; the queue makes them in a thread, one at a time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import structlog

from weftmesh.agent.raft.log.disk import Disk
from weftmesh.runtime.files import PRIVATE_FILE_MODE, make_private_directory, write_atomic
from weftmesh.runtime.frames import frames, read_frames

FILE_NAME: Final = "writes.queue"
DAMAGED_PREFIX: Final = "damaged-"

log = structlog.get_logger("weftmesh.offline")


class QueueFile:
    """Payloads on disk, in order. Made by `open`.

    Attributes:
        size_bytes: of the file.
        needs_rewrite: an append failed, and what the file holds after its end is not known.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE_MODE)
        self.size_bytes = 0
        self.needs_rewrite = False

    @classmethod
    def open(cls, directory: Path, disk: Disk) -> tuple[Self, list[bytes]]:
        """The file in `directory`, made if need be, and the payloads in it.

        Raises:
            OSError: the disk refused.
        """
        make_private_directory(directory)
        file = cls(directory / FILE_NAME, disk)
        disk.sync_directory(directory)
        data = file._path.read_bytes()
        contents = read_frames(data)
        for begin, end in contents.damaged:
            file.set_aside(data[begin:end], f"bytes {begin} to {end} are no record")
        if contents.damaged or contents.end < len(data):
            file.rewrite(contents.payloads)
        else:
            file.size_bytes = contents.end
        return file, contents.payloads

    def set_aside(self, data: bytes, why: str) -> None:
        """Keep what cannot be read in a file of its own, and say so."""
        path = self._path.with_name(f"{DAMAGED_PREFIX}{hashlib.sha256(data).hexdigest()[:16]}")
        write_atomic(path, data)
        log.error(
            "a part of the queue of writes cannot be read and was set aside; the other writes are kept",
            file=str(self._path),
            why=why,
            kept_in=str(path),
            what_to_do="writes in it are not replayed: ask whoever wrote to look, then remove the file",
        )

    @property
    def damaged_parts(self) -> int:
        """How many parts lie set aside."""
        return sum(1 for _ in self._path.parent.glob(f"{DAMAGED_PREFIX}*"))

    def append(self, payloads: Sequence[bytes]) -> None:
        """Make `payloads` durable behind the others.

        Raises:
            OSError: the disk refused; they may be there or not, and the file has to be rewritten.
        """
        data = frames(payloads, self.size_bytes)
        try:
            self._disk.write(self._descriptor, data, self.size_bytes)
            self._disk.sync_data(self._descriptor)
        except OSError:
            self.needs_rewrite = True
            raise
        self.size_bytes += len(data)

    def rewrite(self, payloads: Sequence[bytes]) -> None:
        """Make `payloads` all that the file holds: a crash leaves the old file or the new one.

        Raises:
            OSError: the disk refused; try again before anything is appended.
        """
        self.needs_rewrite = True
        temporary = self._path.with_suffix(".new")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(temporary, flags, PRIVATE_FILE_MODE)
        try:
            data = frames(payloads, 0)
            self._disk.write(descriptor, data, 0)
            self._disk.sync_data(descriptor)
            self._disk.rename(temporary, self._path)
        except OSError:
            os.close(descriptor)
            raise
        os.close(self._descriptor)
        self._descriptor = descriptor
        self.size_bytes = len(data)
        self._disk.sync_directory(self._path.parent)
        self.needs_rewrite = False

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
