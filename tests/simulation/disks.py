"""A node's disk in memory: loses power at any operation, and a bit of it may flip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from tests.fakes.storage import FakeLogStorage, FakeSnapshotStorage

from weftmesh.agent.raft.ports import Entry, LogStorage, SnapshotInfo
from weftmesh.core.errors import DataCorruptionError
from weftmesh.mesh.v1 import raft_pb2


class PowerCutError(BaseException):
    """The machine is off. Not an Exception: nothing in a process can handle it."""


class Machinery(Protocol):
    """What a disk is part of."""

    def operation(self, what: str) -> None:
        """Something is about to be written, synced or sent.

        Raises:
            PowerCutError: it will not.
        """

    def later(self, what: str, act: Callable[[], None]) -> None:
        """Let the disk finish something, some time later."""

    def appended(self, entries: Sequence[Entry], previous_term: int) -> None:
        """Entries entered the log."""


class LogOnDisk(LogStorage, Protocol):
    """A log, and what becomes of it when its process ends."""

    damaged: bool
    """A bit of it flipped, which the next start finds out."""

    @property
    def unsynced(self) -> int:
        """Writes that a power cut may lose."""

    def cut(self, keep: int) -> None:
        """The process is gone; of the un-synced writes the first `keep` survive."""

    def reopen(self) -> LogOnDisk:
        """What the next start finds.

        Raises:
            DataCorruptionError: the log does not verify.
        """

    def durable_term_at(self, index: int) -> int | None:
        """The term of the entry that a power cut now would leave."""


class SimulatedLog(FakeLogStorage):
    """A `LogStorage` whose every write may be the last.

    A record that is torn in the middle, or lies behind one that is missing, is cut by recovery: so what survives of
    the un-synced tail is always some first part of it. The files themselves are the business of `real_log`.
    """

    def __init__(self, machinery: Machinery, dead: FakeLogStorage | None = None) -> None:
        super().__init__(schedule=lambda finish: machinery.later("sync", finish), image=dead and dead._disk)
        self._machinery = machinery
        self.damaged = False

    def cut(self, keep: int) -> None:
        """The power is gone; of the un-synced writes the first `keep` survive."""
        super().crash(keep)

    def reopen(self) -> SimulatedLog:
        """What the next start finds.

        Raises:
            DataCorruptionError: the log does not verify.
        """
        if self.damaged:
            raise DataCorruptionError("a record that was synced does not verify")
        return type(self)(self._machinery, self)

    def durable_term_at(self, index: int) -> int | None:
        """The term of the entry that a power cut now would leave."""
        return self._disk.term_at(index)

    def append(self, entries: Sequence[Entry]) -> None:
        """As `LogStorage.append`."""
        previous_term = self.term_at(self.last_index) or 0
        super().append(entries)
        self._machinery.appended(entries, previous_term)

    def sync(self) -> None:
        """As `LogStorage.sync`."""
        self._machinery.operation("sync")
        super().sync()

    def _write(self, write: Callable[..., None]) -> None:
        self._machinery.operation("write")
        super()._write(write)


class SimulatedSnapshots(FakeSnapshotStorage):
    """A `SnapshotStorage` that loses power before or after what it does became durable."""

    def __init__(self, machinery: Machinery, dead: FakeSnapshotStorage | None = None) -> None:
        super().__init__(dead.files if dead is not None else None)
        self._machinery = machinery
        self.durable_index = self._newest_index()
        """What the newest snapshot covers."""

    def reopen(self) -> SimulatedSnapshots:
        """What the next start finds."""
        return SimulatedSnapshots(self._machinery, self)

    def write(self, header: raft_pb2.SnapshotHeader, rows: Iterable[bytes]) -> SnapshotInfo:
        """As `SnapshotStorage.write`."""
        self._machinery.operation("snapshot")
        info = super().write(header, rows)
        self._machinery.operation("snapshot")
        return info

    def receive_chunk(self, chunk: raft_pb2.SnapshotChunk) -> int:
        """As `SnapshotStorage.receive_chunk`."""
        self._machinery.operation("chunk")
        return super().receive_chunk(chunk)

    def finish_receive(self, chunk: raft_pb2.SnapshotChunk) -> SnapshotInfo:
        """As `SnapshotStorage.finish_receive`."""
        self._machinery.operation("snapshot")
        info = super().finish_receive(chunk)
        self._machinery.operation("snapshot")
        return info

    def damage(self, at: float) -> None:
        """Flip a bit of the newest file, `at` of its length."""
        if not self.files:
            return
        path = max(self.files)
        data = bytearray(self.files[path])
        data[int(at * len(data))] ^= 1
        self.files[path] = bytes(data)

    def _keep(self, index: int, term: int, data: bytes) -> SnapshotInfo:
        info = super()._keep(index, term, data)
        self.durable_index = self._newest_index()
        return info

    def _newest_index(self) -> int:
        return max((int(path.name[:16], 16) for path in self.files), default=0)
