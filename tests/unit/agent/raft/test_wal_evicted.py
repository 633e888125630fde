"""Entries whose payloads are no longer in memory: read back as they were written, or refused."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes.disk import FaultyDisk

from weftmesh.agent.raft.log.entries import MEMORY_ENTRIES, READ_BYTES
from weftmesh.agent.raft.log.wal import MIN_SEGMENT_BYTES, WriteAheadLog
from weftmesh.agent.raft.ports import Entry
from weftmesh.core.errors import DataCorruptionError

MEMORY_BYTES = 1000
"""The last few of the entries below; all before them are read back."""
PAYLOAD_BYTES = 200
COUNT = 100
LAST = 1 + COUNT


def written(first: int, last: int, term: int = 1) -> list[Entry]:
    return [
        Entry(index, term, random.Random(index * 7 + term).randbytes(PAYLOAD_BYTES)) for index in range(first, last)
    ]


def open_log(directory: Path) -> WriteAheadLog:
    return WriteAheadLog.open(
        directory,
        on_failure=lambda _: None,
        segment_bytes=MIN_SEGMENT_BYTES,
        memory_bytes=MEMORY_BYTES,
        disk=FaultyDisk(directory),
    )


@pytest.fixture
def log(tmp_path: Path) -> WriteAheadLog:
    """COUNT entries over several segments."""
    log = open_log(tmp_path / "wal")
    for entry in written(2, LAST + 1):
        log.append([entry])
    return log


def one_by_one(log: WriteAheadLog) -> list[Entry]:
    return [log.entry(index) for index in range(log.base_index + 1, log.last_index + 1)]


def in_pieces(log: WriteAheadLog, limit_bytes: int = 1000) -> list[Entry]:
    entries: list[Entry] = []
    while log.base_index + len(entries) < log.last_index:
        entries += log.entries_from(log.base_index + 1 + len(entries), limit_bytes)
    return entries


def at_once(log: WriteAheadLog) -> list[Entry]:
    return log.entries_from(log.base_index + 1, 1 << 30)


def reversed_(log: WriteAheadLog) -> list[Entry]:
    return [log.entry(index) for index in range(log.last_index, log.base_index, -1)][::-1]


ways = pytest.mark.parametrize("read", [one_by_one, in_pieces, at_once, reversed_])
Read = Callable[[WriteAheadLog], list[Entry]]


@ways
def test_all_are_read_back(log: WriteAheadLog, read: Read) -> None:
    assert read(log) == written(2, LAST + 1)
    log.close()


@ways
def test_after_a_restart(log: WriteAheadLog, tmp_path: Path, read: Read) -> None:
    log.close()
    again = open_log(tmp_path / "wal")
    assert read(again) == written(2, LAST + 1)
    assert [again.term_at(index) for index in (1, 2, LAST)] == [0, 1, 1]
    again.append(written(LAST + 1, LAST + 20))
    assert read(again) == written(2, LAST + 20)
    again.close()


@ways
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("at", [3, 40, LAST - 2])
def test_after_truncation(log: WriteAheadLog, tmp_path: Path, read: Read, restart: bool, at: int) -> None:
    read(log)  # what was read back must not outlive it
    log.truncate_from(at)
    assert read(log) == written(2, at)
    log.append(written(at, LAST + 10, term=2))
    if restart:
        log.close()
        log = open_log(tmp_path / "wal")
    assert read(log) == [*written(2, at), *written(at, LAST + 10, term=2)]
    assert [log.term_at(index) for index in (at - 1, at)] == [1, 2]
    log.close()


@ways
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("to", [2, 40, LAST - 2, LAST])
def test_after_compaction(log: WriteAheadLog, tmp_path: Path, read: Read, restart: bool, to: int) -> None:
    read(log)
    log.compact_to(to)
    log.sync()
    if restart:
        log.close()
        log = open_log(tmp_path / "wal")
    assert read(log) == written(to + 1, LAST + 1)
    assert (log.base_term, log.term_at(to)) == (1, 1)
    log.append(written(LAST + 1, LAST + 30))
    assert read(log) == written(to + 1, LAST + 30)
    log.close()


@ways
def test_after_a_reset(log: WriteAheadLog, read: Read) -> None:
    read(log)
    log.reset(500, 3)
    assert read(log) == []
    log.append(written(501, 560, term=3))
    assert read(log) == written(501, 560, term=3)
    log.close()


def test_sizes_are_known_without_reading(log: WriteAheadLog, tmp_path: Path) -> None:
    log.append([Entry(LAST + 1, 1, b"")])
    for path in (tmp_path / "wal").glob("*.wal"):
        path.write_bytes(b"")
    assert [log.size_at(index) for index in (2, LAST, LAST + 1)] == [PAYLOAD_BYTES, PAYLOAD_BYTES, 0]
    assert log.term_at(2) == 1
    assert log.entry(LAST).payload == written(LAST, LAST + 1)[0].payload
    for index in (1, LAST + 2):
        with pytest.raises(ValueError, match="not held"):
            log.size_at(index)


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_is_never_handed_out(log: WriteAheadLog, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    index = rng.randrange(2, LAST - 10)
    payload = written(index, index + 1)[0].payload
    (path,) = (path for path in (tmp_path / "wal").glob("*.wal") if payload in path.read_bytes())
    content = bytearray(path.read_bytes())
    content[content.index(payload) + rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    with pytest.raises(DataCorruptionError, match=f"entry {index}, which was written there") as caught:
        log.entry(index)
    assert caught.value.metadata["file"] == str(path)
    with pytest.raises(DataCorruptionError):
        log.entries_from(max(index - 3, 2), 3000)
    assert log.entries_from(index + 1, 1000) == written(index + 1, index + 6)
    log.close()


def test_a_segment_that_is_gone_or_another_is_refused(log: WriteAheadLog, tmp_path: Path) -> None:
    first, second, *_ = sorted((tmp_path / "wal").glob("*.wal"))
    first.write_bytes(second.read_bytes())
    with pytest.raises(DataCorruptionError, match="header"):
        log.entry(2)
    first.write_bytes(b"")
    with pytest.raises(DataCorruptionError, match="header"):
        log.entry(2)
    first.unlink()
    with pytest.raises(DataCorruptionError, match="gone"):
        log.entry(2)
    assert log.entry(LAST).index == LAST
    log.close()


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, fsync=False, on_failure=lambda _: None, memory_bytes=MEMORY_BYTES)
    payload_bytes = READ_BYTES // 3
    tracemalloc.start()
    try:
        for index in range(2, 402):
            log.append([Entry(index, 1, bytes(payload_bytes))])
        for index in range(2, 402):
            assert log.entry(index).payload == bytes(payload_bytes)
        _, peak_bytes = tracemalloc.get_traced_memory()
        assert peak_bytes < 400 * payload_bytes / 4
    finally:
        tracemalloc.stop()
    log.close()


def test_many_small_entries_are_not_all_in_memory(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, on_failure=lambda _: None, disk=FaultyDisk(tmp_path))
    count = MEMORY_ENTRIES * 2
    log.append([Entry(index, 1, b"%d" % index) for index in range(2, 2 + count)])
    before = (tmp_path / f"{1:016x}.wal").read_bytes()
    (tmp_path / f"{1:016x}.wal").write_bytes(bytes(len(before)))
    assert log.entry(2 + count - MEMORY_ENTRIES).payload == b"%d" % (2 + count - MEMORY_ENTRIES)
    with pytest.raises(DataCorruptionError):
        log.entry(1 + count - MEMORY_ENTRIES)
    log.close()
