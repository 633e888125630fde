"""A disk that fails at a chosen call, blocks, or loses power: what was not synced survives sector by sector, or not."""

from __future__ import annotations

import errno
import os
import random
import threading
from contextlib import ExitStack
from pathlib import Path

SECTOR_BYTES = 512


class FaultyDisk:
    """The `Disk` of the write-ahead log, over real files in one directory.

    Every call counts in `calls`; from call `fail_at` on, each raises OSError(`error`), and a write leaves a
    part of its data first, as on a full disk. Nothing is really synced: `power_cut` writes down what the platters
    would hold.
    """

    def __init__(self, directory: Path, *, fail_at: int | None = None, error: int = errno.EIO) -> None:
        self.calls = 0
        self.fail_at = fail_at
        self.error = error
        self.syncs_may_go = threading.Event()
        """Cleared by a test, it holds every sync of a file."""
        self.syncs_may_go.set()
        self.sync_entered = threading.Event()
        self._directory = directory
        self._names_change = threading.Lock()
        self._contents: dict[int, bytes] = {}
        self._names: dict[str, int] = {}
        self._removed = ExitStack()
        """Keeps the inodes of removed files from being given to new ones until the power cut."""
        if directory.exists():
            self._names = self._current_names()
            self._contents = {inode: (directory / name).read_bytes() for name, inode in self._names.items()}

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write to the page cache."""
        try:
            self._call()
        except OSError:
            os.pwrite(fd, data[: len(data) // 2], offset)
            raise
        os.pwrite(fd, data, offset)

    def sync_data(self, fd: int) -> None:
        """What the file holds now survives."""
        contents = _read(fd)
        self.sync_entered.set()
        self.syncs_may_go.wait()
        self._call()
        self._contents[os.fstat(fd).st_ino] = contents

    def sync_directory(self, path: Path) -> None:
        """The names in the directory survive."""
        self._call()
        if path == self._directory:
            with self._names_change:
                self._names = self._current_names()

    def rename(self, source: Path, target: Path) -> None:
        """Rename; survives the next sync of the directory."""
        self._call()
        with self._names_change:
            source.rename(target)

    def unlink(self, path: Path) -> None:
        """Remove; survives the next sync of the directory."""
        self._call()
        with self._names_change:
            self._removed.callback(os.close, os.open(path, os.O_RDONLY))
            path.unlink()

    def power_cut(self, target: Path, rng: random.Random) -> None:
        """Put into `target` what the next start may find: the synced, and any of the sectors and names since."""
        target.mkdir()
        current = self._current_names()
        for name, inode in (self._names if rng.random() < 0.5 else current).items():
            cached = (self._directory / name).read_bytes() if current.get(name) == inode else b""
            synced = self._contents.get(inode, b"")
            (target / name).write_bytes(_mix(synced, cached or synced, rng))
        self._removed.close()

    def _call(self) -> None:
        fails = self.fail_at is not None and self.calls + 1 >= self.fail_at
        self.calls += 1  # only now: a test that sees the call may heal the disk at once
        if fails:
            raise OSError(self.error, os.strerror(self.error))

    def _current_names(self) -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in self._directory.iterdir()}


def _read(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def _mix(synced: bytes, cached: bytes, rng: random.Random) -> bytes:
    """Sectors of either, as one of three habits of write-back: none, a prefix, any."""
    keep = rng.choice((0.0, 1.0, 0.5))
    cut = rng.randrange(len(cached) + 1) if rng.random() < 0.5 else len(cached)
    synced = synced.ljust(len(cached), b"\0")
    sectors = []
    for start in range(0, len(cached), SECTOR_BYTES):
        sector = slice(start, start + SECTOR_BYTES)
        sectors.append((cached if start < cut and rng.random() < keep else synced)[sector])
    return b"".join(sectors)
