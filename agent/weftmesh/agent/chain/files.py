"""A chain's files as they are written: appended, synced, sealed when they are full.

The calls block; whoever appends makes them in a thread, one at a time. A sealed file is never opened for writing again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from weftmesh.agent.chain.reading import Form, Part, size_of
from weftmesh.agent.chain.recovery import NOTE_NAME, pack_note
from weftmesh.agent.raft.log.disk import Disk
from weftmesh.core.hash_chain import Head
from weftmesh.runtime.files import PRIVATE_FILE_MODE
from weftmesh.runtime.frames import HEADER_BYTES, frames

FILE_BYTES_MAX: Final = 1024 * 1024
"""Beyond it a file is sealed; also what a start has to read, and what a verification keeps in memory."""
_SEALED_MODE: Final = 0o400
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class ChainFiles:
    """Appends to the newest file, at `end_bytes` of `path`; files are made when something is first written to them."""

    def __init__(
        self,
        directory: Path,
        form: Form[Any],
        disk: Disk,
        path: Path,
        end_bytes: int,
        file_bytes_max: int = FILE_BYTES_MAX,
    ) -> None:
        self._form = form
        self._directory = directory
        self._disk = disk
        self._path = path
        self._end_bytes = end_bytes
        self._file_bytes_max = file_bytes_max
        self._file: int | None = None
        self._note: int | None = None
        self._trim = True
        """Something that was never acknowledged may lie behind the end: after a crash, and after a failure."""

    def sync(self) -> None:
        """Make durable what a process before this one wrote and may not have synced.

        Raises:
            OSError: the disk refused; the next `append` tries again.
        """
        if self._end_bytes:
            self._opened()

    def append(self, payloads: Sequence[bytes], head: Head) -> None:
        """Make `payloads` durable, and note that the chain now ends in `head`.

        Raises:
            OSError: the disk refused; nothing of them counts, and the next call writes over what is there.
        """
        self._make_room(sum(map(len, payloads)) + HEADER_BYTES * len(payloads), head.sequence - len(payloads) + 1)
        file = self._opened()
        data = frames(payloads, self._end_bytes)
        trim, self._trim = self._trim, True
        if trim:
            os.ftruncate(file, self._end_bytes)
        self._disk.write(file, data, self._end_bytes)
        self._disk.sync_data(file)
        self._disk.write(self._opened_note(), pack_note(head), 0)
        self._trim = False
        self._end_bytes += len(data)

    def parts(self) -> list[Part]:
        """Every file as far as it is acknowledged."""
        sealed = [path for path in self._form.paths(self._directory) if path != self._path]
        newest = [Part(self._path, self._end_bytes)] if self._end_bytes else []
        return [Part(path, size_of(path)) for path in sealed] + newest

    def drop(self, path: Path) -> None:
        """Remove a sealed file.

        Raises:
            OSError: the disk refused.
        """
        self._disk.unlink(path)
        self._disk.sync_directory(self._directory)

    def close(self) -> None:
        """Close everything."""
        for descriptor in (self._file, self._note):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._note = None

    def sync_note(self) -> None:
        """Make the note durable, so that it outlives a power cut too.

        Raises:
            OSError: the disk refused.
        """
        if self._note is not None:
            self._disk.sync_data(self._note)

    def _make_room(self, size_bytes: int, first_sequence: int) -> None:
        """Go on in a new file where the present one would get too long."""
        if not self._end_bytes or self._end_bytes + size_bytes <= self._file_bytes_max:
            return
        full = self._opened()
        if self._trim:
            os.ftruncate(full, self._end_bytes)
            self._disk.sync_data(full)
        self.sync_note()
        path = self._directory / self._form.file_name(first_sequence)
        self._file = self._open(path)
        self._path, self._end_bytes, self._trim = path, 0, True
        # Only now: after a crash before this the node goes on in the old file, or in the empty new one.
        try:
            os.fchmod(full, _SEALED_MODE)
        finally:
            os.close(full)

    def _opened(self) -> int:
        if self._file is None:
            self._file = self._open(self._path)
        return self._file

    def _opened_note(self) -> int:
        if self._note is None:
            self._note = self._open(self._directory / NOTE_NAME)
        return self._note

    def _open(self, path: Path) -> int:
        """A file whose name and contents are durable."""
        descriptor = os.open(path, _FLAGS, PRIVATE_FILE_MODE)
        try:
            self._disk.sync_directory(self._directory)
            self._disk.sync_data(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor
