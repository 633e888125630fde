"""Segments are read whole, and their zeroes take neither memory nor the time to fill it."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.agent.raft.log.contents import segment_contents
from weftmesh.agent.raft.log.format import PIECE_BYTES
from weftmesh.agent.raft.log.recovery import recover
from weftmesh.agent.raft.log.wal import WriteAheadLog
from weftmesh.agent.raft.ports import Entry

SIZE_BYTES = 4 * PIECE_BYTES + 1_000


@given(spots=st.dictionaries(st.integers(0, SIZE_BYTES - 1), st.integers(1, 255), max_size=4))
def test_what_is_read_is_what_the_file_holds(tmp_path_factory: pytest.TempPathFactory, spots: dict[int, int]) -> None:
    held = bytearray(SIZE_BYTES)
    for at, byte in spots.items():
        held[at] = byte
    path = tmp_path_factory.mktemp("segment") / "file"
    path.write_bytes(held)
    with segment_contents(path) as contents:
        assert contents.data[:] == held
        assert not any(held[contents.written_bytes :])
        assert contents.written_bytes - max(spots, default=0) <= PIECE_BYTES


def test_a_log_with_little_in_it_takes_little_memory_to_recover(tmp_path: Path) -> None:
    log = WriteAheadLog.open(tmp_path, fsync=False, on_failure=lambda _: None)
    log.append([Entry(2, 1, b"one")])
    log.close()
    size_pages = sum(path.stat().st_size for path in tmp_path.glob("*.wal")) // resource.getpagesize()
    assert recover(tmp_path).replay.last_index == 2  # what is loaded only once is loaded
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    assert recover(tmp_path).replay.last_index == 2
    taken_pages = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before
    assert taken_pages < size_pages / 8
