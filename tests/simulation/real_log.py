"""The real write-ahead log in the simulation: torn records, holes between sectors, names that a power cut forgets."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from tests.fakes.disk import FaultyDisk
from tests.simulation.disks import PowerCutError
from tests.simulation.node import Node
from tests.simulation.ours import EngineDisk

from weftmesh.agent.raft.log import chain as wal_chain
from weftmesh.agent.raft.log.wal import LOCK_NAME, WriteAheadLog
from weftmesh.agent.raft.ports import Entry
from weftmesh.core.errors import DataCorruptionError

SEGMENT_BYTES = 8 << 10
MEMORY = Path("/dev/shm")
"""Files cost no real disk there, if there is such a place."""


class SimulatedWriter:
    """Stands for the log's thread: what it is given is done some time later, in its order."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._jobs: list[Callable[[], Any]] = []

    def submit(self, work: Callable[..., Any], *args: Any) -> None:
        """Queue a job."""
        self._jobs.append(lambda: work(*args))
        self._node.later("job of the log", self._run)

    def shutdown(self, wait: bool = True) -> None:
        """What waits is not done any more."""
        self._jobs.clear()

    def _run(self) -> None:
        if self._jobs:
            self._jobs.pop(0)()


class CrashingDisk(FaultyDisk):
    """Loses power at any call; a write is half done then."""

    def __init__(self, directory: Path, node: Node) -> None:
        super().__init__(directory)
        self._node = node

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write to the page cache."""
        try:
            super().write(fd, data, offset)
        except PowerCutError:
            os.pwrite(fd, data[: self._node.world.rng.randint(0, len(data))], offset)
            raise

    def _call(self) -> None:
        self._node.operation("call of the file system")
        super()._call()


class RealLog(WriteAheadLog):
    """A `LogOnDisk` of files. What a sync completed is held against what the next start finds."""

    damaged = False
    unsynced = 1
    """Nobody counts: a killed process loses none of it, a power cut any of it."""
    _node: Node
    _disk: CrashingDisk
    _home: tempfile.TemporaryDirectory[str]
    _life: int
    _voted: tuple[int, str]
    """What `set_hard_state` has returned for."""

    @classmethod
    def begin(cls, node: Node) -> Self:
        """An empty one."""
        home = tempfile.TemporaryDirectory(prefix="simulation-", dir=MEMORY if MEMORY.is_dir() else None)
        return cls._start(node, home, 0)

    @classmethod
    def _start(cls, node: Node, home: tempfile.TemporaryDirectory[str], life: int) -> Self:
        directory = Path(home.name) / str(life)
        directory.mkdir(exist_ok=True)
        disk = CrashingDisk(directory, node)
        chain: Any = wal_chain
        threads, chain.started_threads = chain.started_threads, lambda *_: SimulatedWriter(node)
        try:
            log = cls.open(directory, on_failure=node.fatal, segment_bytes=SEGMENT_BYTES, disk=disk)
        finally:
            chain.started_threads = threads
        log._node, log._disk, log._home, log._life = node, disk, home, life
        log._voted = (log.term, log.vote)
        return log

    def cut(self, keep: int) -> None:
        """The process is gone, and with `keep` 0 so is the power."""
        following = Path(self._home.name) / str(self._life + 1)
        if following.exists():
            return  # a start that was refused ends too
        if keep:
            shutil.copytree(self._disk._directory, following)
        else:
            self._disk.power_cut(following, self._node.world.rng)
        (following / LOCK_NAME).touch()
        self._abandon()

    def reopen(self) -> Self:
        """What the next start finds.

        Raises:
            DataCorruptionError: the log does not verify.
        """
        if self.damaged:
            raise DataCorruptionError("a record that was synced does not verify")
        found = self._start(self._node, self._home, self._life + 1)
        shutil.rmtree(self._disk._directory, ignore_errors=True)
        for index in range(max(self.base_index, found.base_index) + 1, self.durable_index + 1):
            if found.term_at(index) != self.term_at(index):
                raise self._node.invariants.violated("a synced entry is gone", (self._node.name, index))
        term, vote = self._voted
        if found.term < term or (found.term == term and vote and found.vote != vote):
            raise self._node.invariants.violated("a synced vote is gone", (self._node.name, self._voted, found.vote))
        return found

    def durable_term_at(self, index: int) -> int | None:
        """The term of the entry that a power cut now would leave."""
        return self.term_at(index) if index <= self.durable_index else None

    def append(self, entries: Sequence[Entry]) -> None:
        """As `LogStorage.append`."""
        previous_term = self.term_at(self.last_index) or 0
        super().append(entries)
        self._node.appended(entries, previous_term)

    def set_hard_state(self, term: int, vote: str) -> None:
        """As `LogStorage.set_hard_state`."""
        super().set_hard_state(term, vote)
        self._voted = (term, vote)

    def _abandon(self) -> None:
        """Close what a killed process had open, without another call of the file system."""
        self._chain.writer.shutdown()
        prepared = self._chain._preparer._segment
        for segment in (self._chain.current, prepared):
            if segment is not None:
                segment.close()
        os.close(self._lock_fd)


class RealLogDisk(EngineDisk):
    """Log in files, snapshots in memory."""

    log_class = RealLog.begin
