"""The decision log: what was decided is read again, whatever happened to the file's end."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.router.decided import decisions

from weftmesh.core.routing.model import Decision
from weftmesh.router.routes.decision_log import DecisionLog
from weftmesh.runtime.decision_log import DecisionReader, log_file, log_files, packed
from weftmesh.runtime.frames import HEADER_BYTES

DECISIONS = decisions()


def write(directory: Path, written: list[Decision], *, file_bytes: int = 1 << 20, files: int = 4) -> None:
    log = DecisionLog(directory, file_bytes=file_bytes, files=files)
    for one in written:
        log.append(one)
    log.close()
    assert log.left_out == 0


def read(directory: Path) -> list[Decision]:
    return list(DecisionReader(directory).decisions())


def test_decisions_are_read_as_they_were_taken_over_restarts(tmp_path: Path) -> None:
    write(tmp_path / "log", DECISIONS[:4])
    write(tmp_path / "log", DECISIONS[4:])
    assert len(DECISIONS) > 8
    assert read(tmp_path / "log") == DECISIONS


def test_the_log_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    for at in range(0, len(DECISIONS), 2):  # each run is a batch at least
        write(tmp_path, DECISIONS[at : at + 2], file_bytes=1, files=3)
    assert len(log_files(tmp_path)) == 3
    kept = read(tmp_path)
    assert kept == DECISIONS[-len(kept) :]
    assert 3 <= len(kept) <= 6


LAST_BYTES = HEADER_BYTES + len(packed(DECISIONS[4]))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, LAST_BYTES))
def test_a_torn_log_loses_only_its_torn_record(torn_bytes: int) -> None:
    with TemporaryDirectory() as name:
        directory = Path(name)
        write(directory, DECISIONS[:5])
        path = log_file(directory, 1)
        os.truncate(path, path.stat().st_size - torn_bytes)
        reader = DecisionReader(directory)
        assert list(reader.decisions()) == DECISIONS[:4]
        assert reader.unreadable == 0
        write(directory, DECISIONS[5:7])
        assert read(directory) == DECISIONS[:4] + DECISIONS[5:7]


def test_a_damaged_record_costs_no_other(tmp_path: Path) -> None:
    write(tmp_path, DECISIONS[:3])
    path = log_file(tmp_path, 1)
    content = bytearray(path.read_bytes())
    content[HEADER_BYTES + len(packed(DECISIONS[0])) + HEADER_BYTES + 5] ^= 0xFF
    path.write_bytes(content)
    write(tmp_path, DECISIONS[3:4])
    reader = DecisionReader(tmp_path)
    assert list(reader.decisions()) == [DECISIONS[0], DECISIONS[2], DECISIONS[3]]
    assert reader.unreadable == 1


def test_it_is_read_while_the_router_writes(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path)
    for one in DECISIONS[:3]:
        log.append(one)
        found = read(tmp_path)
        assert found == DECISIONS[: len(found)]
    log.close()
    assert read(tmp_path) == DECISIONS[:3]


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """The kernel refuses this process longer files (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_refuses_costs_records_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, DECISIONS[:2])
    log = DecisionLog(tmp_path)
    with files_of_at_most(log_file(tmp_path, 1).stat().st_size + 10):
        log.append(DECISIONS[2])
        log.close()
    assert log.left_out == 1
    write(tmp_path, DECISIONS[3:4])
    assert read(tmp_path) == DECISIONS[:2] + DECISIONS[3:4]


def test_nobody_wrote_yet(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")
