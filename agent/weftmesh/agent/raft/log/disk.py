"""What the log asks of the file system, so that tests can cut the power or fail any call."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """File system calls that change something; each raises OSError."""

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data` at `offset`, to the page cache."""

    def sync_data(self, fd: int) -> None:
        """Make the file's contents and size durable."""

    def sync_directory(self, path: Path) -> None:
        """Make creations, renames and removals in `path` durable."""

    def rename(self, source: Path, target: Path) -> None:
        """Rename within a directory."""

    def unlink(self, path: Path) -> None:
        """Remove a file."""


class SystemDisk:
    """The real one; without `fsync` nothing is ever synced, which only suits tests and benchmarks."""

    def __init__(self, *, fsync: bool = True) -> None:
        self._fsync = fsync

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data`, however many calls the kernel takes."""
        written = os.pwrite(fd, data, offset)
        while written < len(data):
            written += os.pwrite(fd, memoryview(data)[written:], offset + written)

    def sync_data(self, fd: int) -> None:
        """Call fdatasync."""
        if self._fsync:
            os.fdatasync(fd)

    def sync_directory(self, path: Path) -> None:
        """Call fsync on the directory."""
        if not self._fsync:
            return
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        """Call rename."""
        source.rename(target)

    def unlink(self, path: Path) -> None:
        """Call unlink."""
        path.unlink()


def make_directory(path: Path, disk: Disk) -> None:
    """Make `path` and what is missing above it, each durable in its parent."""
    if path.is_dir():
        return
    make_directory(path.parent, disk)
    path.mkdir(mode=0o700, exist_ok=True)
    disk.sync_directory(path.parent)


class SyncGate:
    """Lets one sync through at a time and none after one has failed.

    The kernel reports a write-back error to one fdatasync only: without the lock, a second one beside it could
    succeed and count what was lost as durable.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._lock = threading.Lock()
        self.failure: OSError | None = None

    def sync(self, fd: int) -> None:
        """Sync the file `fd`.

        Raises:
            OSError: this sync failed, or one before it.
        """
        with self._lock:
            self.check()
            try:
                self._disk.sync_data(fd)
            except OSError as error:
                self.failure = error
                raise

    def check(self) -> None:
        """Raise OSError if anything has failed before."""
        if self.failure is not None:
            raise OSError(self.failure.errno, f"the log stopped after an I/O error: {self.failure}")
