"""Log and snapshots in memory, with an un-synced tail that a crash can cut: what a power cut does to a node."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, takewhile
from pathlib import Path

from weftmesh.agent.raft.log.entries import FIRST_BASE_INDEX, FIRST_BASE_TERM
from weftmesh.agent.raft.ports import Entry, SnapshotInfo
from weftmesh.core.errors import DataCorruptionError, NotFoundError
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.wire.snapshot_file import SnapshotReader, encode

Schedule = Callable[[Callable[[], None]], object]


class _Image:
    """A log as it is on disk."""

    def __init__(self) -> None:
        self.base_index = FIRST_BASE_INDEX
        self.base_term = FIRST_BASE_TERM
        self.last_index = FIRST_BASE_INDEX
        self.term = 0
        self.vote = ""
        self._entries: list[Entry] = []

    def entry(self, index: int) -> Entry:
        if not self.base_index < index <= self.last_index:
            raise IndexError(f"entry {index} is not held; held are {self.base_index + 1} to {self.last_index}")
        return self._entries[self._position(index)]

    def term_at(self, index: int) -> int | None:
        if index == self.base_index:
            return self.base_term
        return self.entry(index).term if self.base_index < index <= self.last_index else None

    def size_at(self, index: int) -> int:
        return len(self.entry(index).payload)

    def entries_from(self, index: int, limit_bytes: int) -> list[Entry]:
        if index <= self.base_index:
            raise IndexError(f"entry {index} is compacted; the base is {self.base_index}")
        sizes = accumulate(len(entry.payload) for entry in self._entries[self._position(index) :])
        count = max(1, sum(1 for _ in takewhile(lambda size_bytes: size_bytes <= limit_bytes, sizes)))
        return self._entries[self._position(index) : self._position(index) + count]

    def append(self, entries: Sequence[Entry]) -> None:
        for index, entry in enumerate(entries, self.last_index + 1):
            if entry.index != index:
                raise ValueError(f"entry {entry.index} does not follow {index - 1}")
        self._entries.extend(entries)
        self.last_index += len(entries)

    def truncate_from(self, index: int) -> None:
        self._check_held(index)
        del self._entries[self._position(index) :]
        self.last_index = index - 1

    def compact_to(self, index: int) -> None:
        self._check_held(index)
        term = self.entry(index).term
        del self._entries[: self._position(index) + 1]
        self.base_index, self.base_term = index, term

    def reset(self, index: int, term: int) -> None:
        self._entries = []
        self.base_index, self.base_term, self.last_index = index, term, index

    def set_hard_state(self, term: int, vote: str) -> None:
        self.term, self.vote = term, vote

    def copy_from(self, other: _Image) -> None:
        self.base_index, self.base_term, self.last_index = other.base_index, other.base_term, other.last_index
        self._entries = list(other._entries)
        self.term, self.vote = other.term, other.vote

    def _position(self, index: int) -> int:
        return index - self.base_index - 1

    def _check_held(self, index: int) -> None:
        if not self.base_index < index <= self.last_index:
            raise ValueError(f"index {index} is not held; held are {self.base_index + 1} to {self.last_index}")


Write = Callable[[_Image], None]


class FakeLogStorage(_Image):
    """`LogStorage` in memory.

    A sync started with `start_sync` is under way until `schedule` (asyncio's call_soon by default) runs what it was
    given; a test that collects these decides when, or whether, a sync completes. After `fail_with` the next write or
    sync fails as a disk does: `on_failure` is called once, writes raise, nothing becomes durable any more.
    """

    def __init__(
        self,
        *,
        schedule: Schedule | None = None,
        on_failure: Callable[[OSError], None] | None = None,
        image: _Image | None = None,
    ) -> None:
        super().__init__()
        self._disk = _Image()
        if image is not None:
            self._disk.copy_from(image)
            self.copy_from(image)
        self._tail: list[Write] = []
        self._schedule: Schedule = schedule or (lambda callback: asyncio.get_running_loop().call_soon(callback))
        self._on_failure = on_failure
        self._error: OSError | None = None
        self._reported = False
        self._under_way: list[int] | None = None
        self.durable_index = self.last_index
        self.written_mark = 0
        self.durable_mark = 0

    @property
    def unsynced(self) -> int:
        """Writes that a crash may cut."""
        return len(self._tail)

    def fail_with(self, error: OSError) -> None:
        """Let every write and sync from now on fail."""
        self._error = error

    def crash(
        self,
        keep: int = 0,
        *,
        schedule: Schedule | None = None,
        on_failure: Callable[[OSError], None] | None = None,
    ) -> FakeLogStorage:
        """What the next start finds: all that was synced and the first `keep` un-synced writes. This one is dead."""
        tail, self._tail = self._tail, []  # a machine that is off may lose its power again
        for write in tail[:keep]:
            write(self._disk)
        self._error = OSError("the power is cut")
        self._reported = True
        return FakeLogStorage(schedule=schedule or self._schedule, on_failure=on_failure, image=self._disk)

    def append(self, entries: Sequence[Entry]) -> None:
        """As `LogStorage.append`; each entry is a write of its own for `crash`."""
        self._check()
        super().append(entries)
        for entry in entries:
            self._write(lambda image, entry=entry: image.append([entry]))  # type: ignore[misc]

    def truncate_from(self, index: int) -> None:
        """As `LogStorage.truncate_from`."""
        self._check_held(index)
        self._write(lambda image: image.truncate_from(index))
        super().truncate_from(index)
        self._lower_durable(index - 1)

    def compact_to(self, index: int) -> None:
        """As `LogStorage.compact_to`."""
        self._check_held(index)
        self._write(lambda image: image.compact_to(index))
        super().compact_to(index)
        self.durable_index = max(self.durable_index, index)

    def reset(self, index: int, term: int) -> None:
        """As `LogStorage.reset`."""
        self._write(lambda image: image.reset(index, term))
        super().reset(index, term)
        self._lower_durable(index)
        self.sync()

    def set_hard_state(self, term: int, vote: str) -> None:
        """As `LogStorage.set_hard_state`."""
        self._write(lambda image: image.set_hard_state(term, vote))
        super().set_hard_state(term, vote)
        self.sync()

    def sync(self) -> None:
        """As `LogStorage.sync`."""
        self._check()
        self._settle(len(self._tail), self.written_mark, self.last_index)

    def start_sync(self, done: Callable[[], None]) -> bool:
        """As `LogStorage.start_sync`."""
        if self._under_way is not None or self._reported or self.durable_mark == self.written_mark:
            return False
        self._under_way = covered = [self.written_mark, self.last_index]
        self._schedule(lambda: self._complete(covered, done))
        return True

    def close(self) -> None:
        """As `LogStorage.close`."""
        if self._error is None:
            self.sync()

    def _complete(self, covered: list[int], done: Callable[[], None]) -> None:
        self._under_way = None
        try:
            self._check()
        except OSError:
            return
        mark, last_index = covered
        self._settle(len(self._tail) - (self.written_mark - max(mark, self.durable_mark)), mark, last_index)
        done()

    def _settle(self, writes: int, mark: int, last_index: int) -> None:
        for write in self._tail[:writes]:
            write(self._disk)
        del self._tail[:writes]
        self.durable_mark = max(self.durable_mark, mark)
        self.durable_index = max(self.durable_index, last_index)

    def _write(self, write: Write) -> None:
        self._check()
        self._tail.append(write)
        self.written_mark += 1

    def _lower_durable(self, index: int) -> None:
        self.durable_index = min(self.durable_index, index)
        if self._under_way is not None:
            self._under_way[1] = min(self._under_way[1], index)

    def _check(self) -> None:
        if self._error is None:
            return
        if not self._reported:
            self._reported = True
            if self._on_failure is not None:
                self._on_failure(self._error)
        raise self._error


class FakeSnapshotStorage:
    """`SnapshotStorage` in memory, in the format of the files. What is complete is durable; a transfer is not."""

    def __init__(self, files: dict[Path, bytes] | None = None) -> None:
        self.files = dict(files or {})
        """To be damaged by tests."""
        self._transfer: tuple[tuple[int, int, int, bytes], bytearray] | None = None

    def crash(self) -> FakeSnapshotStorage:
        """What the next start finds."""
        return FakeSnapshotStorage(self.files)

    def latest(self) -> SnapshotInfo | None:
        """As `SnapshotStorage.latest`."""
        if not self.files:
            return None
        path = max(self.files)
        return self._verify(path, self.files[path])

    def write(self, header: raft_pb2.SnapshotHeader, rows: Iterable[bytes]) -> SnapshotInfo:
        """As `SnapshotStorage.write`."""
        return self._keep(header.last_index, header.last_term, b"".join(encode(header, rows)))

    def rows(self, info: SnapshotInfo) -> Iterator[bytes]:
        """As `SnapshotStorage.rows`."""
        reader = SnapshotReader(io.BytesIO(self.files[info.path]), info.path)
        reader.header()
        yield from reader.rows()

    def holds(self, info: SnapshotInfo) -> bool:
        """As `SnapshotStorage.holds`."""
        return info.path in self.files

    def read_chunk(self, info: SnapshotInfo, offset: int, size: int) -> bytes:
        """As `SnapshotStorage.read_chunk`."""
        if info.path not in self.files:
            raise NotFoundError(f"{info.path} was replaced")
        return self.files[info.path][offset : offset + size]

    def receive_chunk(self, chunk: raft_pb2.SnapshotChunk) -> int:
        """As `SnapshotStorage.receive_chunk`."""
        key = (chunk.index, chunk.snapshot_term, chunk.size_bytes, chunk.sha256)
        if self._transfer is None or self._transfer[0] != key:
            self._transfer = (key, bytearray())
        data = self._transfer[1]
        if chunk.offset == len(data):
            data += chunk.data
        return len(data)

    def finish_receive(self, chunk: raft_pb2.SnapshotChunk) -> SnapshotInfo:
        """As `SnapshotStorage.finish_receive`."""
        transfer, self._transfer = self._transfer, None
        key = (chunk.index, chunk.snapshot_term, chunk.size_bytes, chunk.sha256)
        if transfer is None or transfer[0] != key:
            raise NotFoundError("no such transfer is under way")
        data = bytes(transfer[1])
        if len(data) != chunk.size_bytes or hashlib.sha256(data).digest() != chunk.sha256:
            raise DataCorruptionError("size or sha256 is not what was announced")
        self._verify(Path("received"), data)
        return self._keep(chunk.index, chunk.snapshot_term, data)

    def _keep(self, index: int, term: int, data: bytes) -> SnapshotInfo:
        path = Path(f"{index:016x}-{term:016x}.snapshot")
        info = self._verify(path, data)
        self.files[path] = data
        for old in sorted(self.files)[:-2]:
            del self.files[old]
        return info

    def _verify(self, path: Path, data: bytes) -> SnapshotInfo:
        reader = SnapshotReader(io.BytesIO(data), path)
        header = reader.header()
        for _ in reader.rows():
            pass
        return SnapshotInfo(header, path, reader.size_bytes, reader.sha256)
