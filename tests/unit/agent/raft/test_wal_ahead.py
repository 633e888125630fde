"""The next segment is made ahead of time, and not before there is reason to think that it will be needed."""

from __future__ import annotations

from pathlib import Path

from weftmesh.agent.raft.log.chain import PREPARED_FROM
from weftmesh.agent.raft.log.wal import MIN_SEGMENT_BYTES, WriteAheadLog
from weftmesh.agent.raft.ports import Entry


def prepared(log: WriteAheadLog, directory: Path) -> list[Path]:
    """What there is ahead once the writer's thread has done what it was asked to."""
    log._chain.writer.submit(lambda: None).result()
    return list(directory.glob("*.wal.new"))


def open_log(directory: Path) -> WriteAheadLog:
    return WriteAheadLog.open(directory, fsync=False, on_failure=lambda _: None, segment_bytes=MIN_SEGMENT_BYTES)


def test_a_start_makes_no_segment_that_nothing_needs(tmp_path: Path) -> None:
    for _ in range(2):
        log = open_log(tmp_path)
        assert prepared(log, tmp_path) == []
        log.close()


def test_the_next_segment_is_there_long_before_this_one_is_full(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    payload = bytes(int(MIN_SEGMENT_BYTES * PREPARED_FROM))
    log.append([Entry(log.last_index + 1, 1, payload)])
    assert len(prepared(log, tmp_path)) == 1
    for _ in range(int(1 / PREPARED_FROM)):
        log.append([Entry(log.last_index + 1, 1, payload)])
    assert len(list(tmp_path.glob("*.wal"))) == 2
    log.close()
    assert list(tmp_path.glob("*.wal.new")) == []


def test_what_was_written_before_a_restart_counts(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append([Entry(log.last_index + 1, 1, bytes(int(MIN_SEGMENT_BYTES * PREPARED_FROM)))])
    log.close()
    again = open_log(tmp_path)
    again.append([Entry(again.last_index + 1, 1, b"")])
    assert len(prepared(again, tmp_path)) == 1
    again.close()
