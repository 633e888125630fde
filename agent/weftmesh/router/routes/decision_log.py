"""Appends decisions to files: bounded, and with a checksum for each.

Whoever decides does not wait for the disk: a thread of its own writes, and syncs all that came meanwhile at once. A
process that is killed loses what waited, milliseconds of decisions; what was cut short is cut off at the next start.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Final

import structlog

from weftmesh.core.routing.model import Decision
from weftmesh.runtime.decision_log import log_file, log_files, packed
from weftmesh.runtime.files import PRIVATE_FILE_MODE, make_private_directory, sync_directory
from weftmesh.runtime.frames import frames, read_frames

FILE_BYTES: Final = 8 * 1024 * 1024
"""A file that has grown beyond this is followed by another one."""
FILES: Final = 8
"""Are kept, the newest one included."""
WAITING_MAX: Final = 4_096
"""Decisions that wait for the disk; further ones are left out."""
BATCH_MAX: Final = 64
"""Decisions that are written and synced at once."""
CLOSE_TIMEOUT_S: Final = 10.0

log = structlog.get_logger("weftmesh.router.decisions")


class DecisionLog:
    """The log of one router; no other process may write to its directory.

    Args:
        directory: made if need be.
        file_bytes: see FILE_BYTES.
        files: see FILES.

    Raises:
        OSError: the disk refused.

    Attributes:
        left_out: decisions that are not in the log: too many waited, or the disk refused.
    """

    def __init__(self, directory: Path, *, file_bytes: int = FILE_BYTES, files: int = FILES) -> None:
        self._files = _Files(directory, file_bytes, files)
        self._waiting: Queue[Decision | None] = Queue(WAITING_MAX)
        self.left_out = 0
        self._thread = threading.Thread(target=self._write, name="decision-log", daemon=True)
        self._thread.start()

    def append(self, decision: Decision) -> None:
        """Hand a decision to the disk; returns at once, and never raises."""
        try:
            self._waiting.put_nowait(decision)
        except Full:
            self._leave_out(1, f"{WAITING_MAX} decisions wait already")

    def close(self) -> None:
        """Write what waits, and end; blocks while it does."""
        self._waiting.put(None)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _write(self) -> None:
        is_open = True
        while is_open:
            batch = self._next_batch()
            is_open = None not in batch
            decisions = [one for one in batch if one is not None]
            try:
                self._files.append([packed(one) for one in decisions])
            except Exception as error:  # noqa: BLE001, whatever it is: a thread that ended would go unnoticed
                self._leave_out(len(decisions), f"{type(error).__name__}: {error}")
        self._files.close()

    def _next_batch(self) -> list[Decision | None]:
        batch = [self._waiting.get()]
        try:
            while batch[-1] is not None and len(batch) < BATCH_MAX:
                batch.append(self._waiting.get_nowait())
        except Empty:
            pass
        return batch

    def _leave_out(self, decisions: int, why: str) -> None:
        if not self.left_out:
            log.error(
                "decisions are not in the decision log; routing goes on, and `weftmesh route replay` has a gap",
                why=why,
                what_to_do="look at the disk under the router's state directory",
            )
        self.left_out += decisions


class _Files:
    """The files themselves; used by one thread at a time."""

    def __init__(self, directory: Path, file_bytes: int, files: int) -> None:
        make_private_directory(directory)
        self._directory = directory
        self._file_bytes = file_bytes
        self._files = files
        present = log_files(directory)
        self._number = present[-1][0] if present else 1
        self._size_bytes = 0
        self._descriptor = self._open()
        self._cut_torn_tail()

    def append(self, payloads: list[bytes]) -> None:
        """Make records durable.

        Raises:
            OSError: the disk refused; none of them count.
        """
        if not payloads:
            return
        if self._size_bytes >= self._file_bytes:
            self._next_file()
        data = frames(payloads, self._size_bytes)
        try:
            _write_all(self._descriptor, data, self._size_bytes)
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size_bytes)
            raise
        self._size_bytes += len(data)

    def close(self) -> None:
        """Close the newest file."""
        os.close(self._descriptor)

    def _open(self) -> int:
        path = log_file(self._directory, self._number)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE_MODE)
        sync_directory(self._directory)
        return descriptor

    def _cut_torn_tail(self) -> None:
        contents = read_frames(log_file(self._directory, self._number).read_bytes())
        self._size_bytes = contents.end
        os.ftruncate(self._descriptor, self._size_bytes)
        for begin, end in contents.damaged:
            log.error(
                "a part of the decision log cannot be read; the other decisions are kept",
                file=str(log_file(self._directory, self._number)),
                bytes=f"{begin} to {end}",
                what_to_do="nothing: `weftmesh route replay` leaves it out, and the file is removed in its turn",
            )

    def _next_file(self) -> None:
        self._number += 1
        descriptor = self._open()
        os.close(self._descriptor)
        self._descriptor, self._size_bytes = descriptor, 0
        for _, path in log_files(self._directory)[: -self._files]:
            path.unlink(missing_ok=True)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    written = os.pwrite(descriptor, data, offset)
    while written < len(data):
        written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)
