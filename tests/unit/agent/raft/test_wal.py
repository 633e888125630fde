"""The write-ahead log as the Raft core uses it: what it holds, when it is durable, how it stops."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes.disk import FaultyDisk
from tests.fakes.storage import FakeLogStorage

from weftmesh.agent.raft.log.disk import SyncGate
from weftmesh.agent.raft.log.wal import LOCK_NAME, MIN_SEGMENT_BYTES, WriteAheadLog
from weftmesh.agent.raft.ports import Entry, LogStorage
from weftmesh.core.errors import InvalidInputError, PreconditionError


def entries(first: int, count: int, term: int = 1, size: int = 20) -> list[Entry]:
    return [Entry(index, term, b"%d/" % index + bytes(size)) for index in range(first, first + count)]


def open_log(directory: Path, disk: FaultyDisk | None = None, failures: list[OSError] | None = None) -> WriteAheadLog:
    failed = [] if failures is None else failures
    return WriteAheadLog.open(
        directory, on_failure=failed.append, segment_bytes=MIN_SEGMENT_BYTES, disk=disk or FaultyDisk(directory)
    )


def held(log: LogStorage) -> list[Entry]:
    return log.entries_from(log.base_index + 1, 1 << 30)


async def synced(log: LogStorage) -> None:
    done = asyncio.Event()
    assert log.start_sync(done.set)
    await asyncio.wait_for(done.wait(), 10)


def wal(tmp_path: Path) -> LogStorage:
    return open_log(tmp_path / "wal")


def fake(_tmp_path: Path) -> LogStorage:
    return FakeLogStorage()


both = pytest.mark.parametrize("make", [wal, fake])


@both
async def test_new_log_has_only_the_conventional_entry(tmp_path: Path, make: Callable[[Path], LogStorage]) -> None:
    log = make(tmp_path)
    assert (log.base_index, log.base_term, log.last_index, log.durable_index) == (1, 0, 1, 1)
    assert (log.term, log.vote) == (0, "")
    assert [log.term_at(index) for index in (0, 1, 2)] == [None, 0, None]
    assert log.entries_from(2, 1000) == []
    log.close()


@both
async def test_reading(tmp_path: Path, make: Callable[[Path], LogStorage]) -> None:
    log = make(tmp_path)
    log.append(entries(2, 10))
    assert log.entry(5).payload.startswith(b"5/")
    assert [entry.index for entry in log.entries_from(4, 50)] == [4, 5]
    assert [entry.index for entry in log.entries_from(4, 0)] == [4]
    log.compact_to(6)
    assert (log.base_index, log.base_term, log.last_index) == (6, 1, 11)
    assert [log.term_at(index) for index in (5, 6, 11, 12)] == [None, 1, 1, None]
    for index in (6, 12):
        with pytest.raises(IndexError):
            log.entry(index)
    with pytest.raises(IndexError):
        log.entries_from(6, 100)
    log.close()


@both
async def test_a_gap_is_refused(tmp_path: Path, make: Callable[[Path], LogStorage]) -> None:
    log = make(tmp_path)
    with pytest.raises(ValueError, match="entry 3 does not follow 1"):
        log.append(entries(3, 1))
    with pytest.raises(ValueError, match="not held"):
        log.truncate_from(2)
    with pytest.raises(ValueError, match="not held"):
        log.compact_to(1)
    log.close()


@both
async def test_marks_follow_a_sync(tmp_path: Path, make: Callable[[Path], LogStorage]) -> None:
    log = make(tmp_path)
    assert not log.start_sync(lambda: None)  # nothing is unwritten
    log.append(entries(2, 3))
    mark = log.written_mark
    assert log.durable_mark < mark
    assert log.durable_index == 1
    done = asyncio.Event()
    assert log.start_sync(done.set)
    assert not log.start_sync(lambda: None)  # one is under way
    log.append(entries(5, 1))
    await asyncio.wait_for(done.wait(), 10)
    assert (log.durable_index, log.durable_mark) == (4, mark)
    await synced(log)
    assert (log.durable_index, log.durable_mark) == (5, log.written_mark)
    log.close()


@both
async def test_truncation_and_reset_lower_what_is_durable(tmp_path: Path, make: Callable[[Path], LogStorage]) -> None:
    log = make(tmp_path)
    log.append(entries(2, 9))
    log.sync()
    assert log.durable_index == 10
    log.truncate_from(6)
    log.append(entries(6, 3, term=2))
    assert log.durable_index == 5
    await synced(log)
    assert log.durable_index == 8
    log.reset(20, 3)
    assert (log.base_index, log.base_term, log.last_index, log.durable_index) == (20, 3, 20, 20)
    assert log.durable_mark == log.written_mark
    log.close()


@pytest.mark.parametrize("replace", ["truncate", "reset"])
async def test_sync_under_way_does_not_cover_replaced_entries(tmp_path: Path, replace: str) -> None:
    disk = FaultyDisk(tmp_path)
    log = open_log(tmp_path / "wal", disk)
    log.append(entries(2, 9))
    disk.syncs_may_go.clear()
    disk.sync_entered.clear()
    done = asyncio.Event()
    assert log.start_sync(done.set)
    await asyncio.to_thread(disk.sync_entered.wait, 10)
    if replace == "truncate":
        log.truncate_from(6)
    else:
        asyncio.get_running_loop().call_later(0.05, disk.syncs_may_go.set)
        disk.syncs_may_go.set()
        log.reset(5, 1)
    log.append(entries(6, 5, term=2))
    disk.syncs_may_go.set()
    await asyncio.wait_for(done.wait(), 10)
    assert log.durable_index == 5
    log.close()


async def test_fake_sync_under_way_does_not_cover_replaced_entries() -> None:
    waiting: list[Callable[[], None]] = []
    log = FakeLogStorage(schedule=waiting.append)
    log.append(entries(2, 9))
    assert log.start_sync(lambda: None)
    log.truncate_from(6)
    log.append(entries(6, 5, term=2))
    waiting.pop()()
    assert log.durable_index == 5
    assert log.crash().last_index == 10  # of the sync, the truncation was lost


async def test_hard_state_is_durable_at_return_with_all_before_it(tmp_path: Path) -> None:
    log = open_log(tmp_path / "wal")
    log.append(entries(2, 2))
    log.set_hard_state(7, "n2")
    assert (log.durable_index, log.durable_mark) == (3, log.written_mark)
    log.close()
    again = open_log(tmp_path / "wal")
    assert (again.term, again.vote) == (7, "n2")
    again.close()


async def test_everything_is_there_after_many_segments(tmp_path: Path) -> None:
    log = open_log(tmp_path / "wal")
    log.set_hard_state(3, "n1")
    log.append(entries(2, 500, term=2))
    log.truncate_from(400)
    log.append(entries(400, 300, term=3))
    log.compact_to(120)
    expected = held(log)
    log.close()
    assert len(list((tmp_path / "wal").glob("*.wal"))) > 3
    again = open_log(tmp_path / "wal")
    assert held(again) == expected
    assert (again.base_index, again.base_term, again.term, again.vote) == (120, 2, 3, "n1")
    assert (again.last_index, again.durable_index) == (699, 699)
    again.close()


async def test_compacted_segments_are_removed_and_the_rest_suffices(tmp_path: Path) -> None:
    log = open_log(tmp_path / "wal")
    log.set_hard_state(5, "n3")
    for first in range(2, 2002, 100):
        log.append(entries(first, 100))
        log.compact_to(first + 90)
        await synced(log)
    expected = held(log)
    log.close()
    segments = sorted(path.name for path in (tmp_path / "wal").glob("*.wal"))
    assert len(segments) <= 4
    assert segments[0] > f"{10:016x}"
    again = open_log(tmp_path / "wal")
    assert held(again) == expected
    assert (again.base_index, again.term, again.vote) == (1992, 5, "n3")
    again.close()


async def test_segments_are_removed_only_once_the_compaction_is_durable(tmp_path: Path) -> None:
    log = open_log(tmp_path / "wal")
    log.append(entries(2, 300))
    log.compact_to(301)
    first = tmp_path / "wal" / f"{1:016x}.wal"
    await asyncio.sleep(0.05)
    assert first.exists()
    await synced(log)
    log.close()
    assert not first.exists()


async def test_segment_is_kept_when_all_in_it_was_compacted_before_it_was_full(tmp_path: Path) -> None:
    log = open_log(tmp_path / "wal")
    log.append(entries(2, 50, size=10))
    log.compact_to(51)
    first, second = (tmp_path / "wal" / f"{sequence:016x}.wal" for sequence in (1, 2))
    while not second.exists():
        log.append(entries(52, 1))
        log.truncate_from(52)
    await asyncio.sleep(0.05)
    assert first.exists()  # the HEAD of the second is not durable yet
    log.sync()
    log.close()
    assert not first.exists()


def test_no_sync_succeeds_after_one_has_failed(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path, fail_at=1)
    gate = SyncGate(disk)
    with (tmp_path / "file").open("w+b") as file:
        with pytest.raises(OSError, match="error"):
            gate.sync(file.fileno())
        disk.fail_at = None  # the kernel reports a lost page once and then succeeds
        with pytest.raises(OSError, match="stopped after an I/O error"):
            gate.sync(file.fileno())


async def test_second_opener_is_refused(tmp_path: Path) -> None:
    log = open_log(tmp_path / "wal")
    with pytest.raises(PreconditionError, match="in use by another process"):
        open_log(tmp_path / "wal")
    log.close()
    open_log(tmp_path / "wal").close()
    assert (tmp_path / "wal" / LOCK_NAME).exists()


async def test_too_large_an_entry_writes_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path / "wal")
    with pytest.raises(InvalidInputError, match="too large"):
        log.append([*entries(2, 1), Entry(3, 1, bytes(MIN_SEGMENT_BYTES))])
    assert log.last_index == 1
    largest = MIN_SEGMENT_BYTES - 1024
    log.append([Entry(2, 1, bytes(largest)), Entry(3, 1, bytes(largest))])
    log.close()
    again = open_log(tmp_path / "wal")
    assert [len(entry.payload) for entry in held(again)] == [largest, largest]
    again.close()


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
async def test_failed_write_stops_the_log(tmp_path: Path, error: int) -> None:
    disk, failures = FaultyDisk(tmp_path, error=error), list[OSError]()
    log = open_log(tmp_path / "wal", disk, failures)
    log.append(entries(2, 2))
    await synced(log)
    disk.fail_at = 0
    with pytest.raises(OSError, match=r"\S"):
        log.append(entries(4, 1))
    disk.fail_at = None
    with pytest.raises(OSError, match="stopped after an I/O error"):
        log.append(entries(4, 1))
    with pytest.raises(OSError, match="stopped after an I/O error"):
        log.set_hard_state(9, "n1")
    assert not log.start_sync(lambda: None)
    assert [failure.errno for failure in failures] == [error]
    assert (log.last_index, log.durable_index, log.term) == (3, 3, 0)
    log.close()


async def test_failed_sync_in_the_writer_stops_the_log(tmp_path: Path) -> None:
    disk, failed = FaultyDisk(tmp_path), asyncio.Queue[OSError]()
    log = WriteAheadLog.open(tmp_path, on_failure=failed.put_nowait, segment_bytes=MIN_SEGMENT_BYTES, disk=disk)
    log.append(entries(2, 2))
    await asyncio.sleep(0.05)  # the next segment is prepared
    disk.fail_at = 0
    assert log.start_sync(lambda: pytest.fail("nothing became durable"))
    await asyncio.wait_for(failed.get(), 10)
    disk.fail_at = None  # the kernel reports a lost page once and then succeeds
    with pytest.raises(OSError, match="stopped after an I/O error"):
        log.sync()
    with pytest.raises(OSError, match="stopped after an I/O error"):
        log.set_hard_state(9, "n1")
    assert (log.durable_index, log.durable_mark) == (1, 0)
    assert failed.empty()
    log.close()


async def test_failed_hard_state_is_not_reported_as_set(tmp_path: Path) -> None:
    disk, failures = FaultyDisk(tmp_path), list[OSError]()
    log = open_log(tmp_path / "wal", disk, failures)
    log.append(entries(2, 1))
    await synced(log)  # in the thread that prepares the next segment, and after that
    disk.fail_at = disk.calls + 2  # the write goes through, its sync does not
    with pytest.raises(OSError, match="error"):
        log.set_hard_state(9, "n1")
    assert log.durable_mark < log.written_mark
    assert len(failures) == 1
    log.close()


async def test_fake_failure() -> None:
    failures: list[OSError] = []
    log = FakeLogStorage(on_failure=failures.append)
    log.append(entries(2, 2))
    assert log.start_sync(lambda: pytest.fail("nothing became durable"))
    log.fail_with(OSError(errno.EIO, "lost"))
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="lost"):
        log.set_hard_state(9, "n1")
    assert len(failures) == 1
    assert log.crash(keep=1).last_index == 2
    assert log.crash(keep=2).last_index == 2, "what was lost is lost"


async def test_without_fsync_the_order_is_kept(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, fsync=False, on_failure=lambda _: None, segment_bytes=MIN_SEGMENT_BYTES)
    log.append(entries(2, 200))
    assert log.durable_index < 201
    await synced(log)
    assert log.durable_index == 201
    log.close()
    again = open_log(tmp_path)
    assert again.last_index == 201
    again.close()


async def test_real_disk(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path / "deep" / "wal", on_failure=lambda _: None, segment_bytes=3 << 20)
    log.append(entries(2, 1000, size=5000))
    await synced(log)
    log.set_hard_state(1, "n1")
    expected = held(log)
    log.close()
    again = WriteAheadLog.open(tmp_path / "deep" / "wal", on_failure=lambda _: None)
    assert (held(again), again.vote) == (expected, "n1")
    again.close()


def test_start_sync_needs_an_event_loop(tmp_path: Path) -> None:
    log = open_log(tmp_path / "wal")
    log.append(entries(2, 1))
    with pytest.raises(RuntimeError, match="without an event loop"):
        log.start_sync(lambda: None)
    log.close()


async def test_compaction_of_many_entries(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, on_failure=lambda _: None, disk=FaultyDisk(tmp_path))
    log.append(entries(2, 10_000))
    log.compact_to(9_001)
    await asyncio.sleep(0.05)
    assert [entry.index for entry in held(log)] == list(range(9_002, 10_002))
    log.close()


def test_tools_need_no_event_loop(tmp_path: Path) -> None:
    log = open_log(tmp_path / "wal")
    log.append(entries(2, 200))
    log.set_hard_state(1, "n1")
    log.close()
    again = open_log(tmp_path / "wal")
    assert (again.last_index, again.vote) == (201, "n1")
    again.close()
