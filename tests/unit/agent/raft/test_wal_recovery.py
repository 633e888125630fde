"""Damage to log files: refused wherever something acknowledged is hit, cut where it is a torn tail."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest
from tests.fakes.disk import FaultyDisk

from weftmesh.agent.raft.log import wal as wal_module
from weftmesh.agent.raft.log.format import (
    FORMAT,
    RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    find_records,
    key_of,
    pack_segment_header,
    read_segment_header,
)
from weftmesh.agent.raft.log.wal import MIN_SEGMENT_BYTES, WriteAheadLog
from weftmesh.agent.raft.ports import Entry
from weftmesh.core.errors import DataCorruptionError, PreconditionError

ENTRIES = 60


def open_log(directory: Path, *, fsync: bool = True) -> WriteAheadLog:
    return WriteAheadLog.open(
        directory,
        fsync=fsync,
        on_failure=lambda _: None,
        segment_bytes=MIN_SEGMENT_BYTES,
        disk=FaultyDisk(directory),  # syncs cost nothing
    )


def fill(log: WriteAheadLog, count: int = ENTRIES) -> None:
    """Each entry is acknowledged by itself, as with one client."""
    log.set_hard_state(2, "n1")
    for index in range(2, 2 + count):
        log.append([Entry(index, 2, b"%d/" % index + b"x" * 150)])
        log.sync()


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.wal"))


def records(path: Path) -> list[tuple[int, int]]:
    """Begin and end of each record."""
    data = path.read_bytes()
    header = read_segment_header(data)
    assert header is not None
    found = find_records(data, SEGMENT_HEADER_BYTES, key_of(header.salt))
    return [(record.end - RECORD_HEADER_BYTES - len(record.payload), record.end) for record in found]


def flip(path: Path, offset: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= bit
    path.write_bytes(data)


def zero(path: Path, start: int, end: int) -> None:
    data = bytearray(path.read_bytes())
    data[start:end] = bytes(end - start)
    path.write_bytes(data)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One log, copied when its process was killed and when it was closed in order."""
    directory = tmp_path_factory.mktemp("originals")
    log = open_log(directory / "closed")
    fill(log)
    shutil.copytree(directory / "closed", directory / "crashed", ignore=shutil.ignore_patterns("*.new"))
    log.close()
    assert len(segments(directory / "crashed")) > 2
    return directory


@pytest.fixture
def crashed(originals: Path, tmp_path: Path) -> Path:
    """A log of some segments whose process was killed; every entry was acknowledged."""
    return shutil.copytree(originals / "crashed", tmp_path / "crashed")


@pytest.fixture
def closed(originals: Path, tmp_path: Path) -> Path:
    """The same, closed in order."""
    return shutil.copytree(originals / "closed", tmp_path / "closed")


def refusal(directory: Path) -> DataCorruptionError:
    with pytest.raises(DataCorruptionError) as caught:
        open_log(directory)
    return caught.value


def test_untouched_logs_open(crashed: Path, closed: Path) -> None:
    for directory in (crashed, closed):
        log = open_log(directory)
        assert (log.last_index, log.term) == (ENTRIES + 1, 2)
        log.close()


@pytest.mark.parametrize("seed", range(150))
def test_flipped_bit_before_the_last_record_is_refused(crashed: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = rng.choice(segments(crashed))
    end = records(path)[-1][0] if path == segments(crashed)[-1] else path.stat().st_size
    flip(path, rng.randrange(end), 1 << rng.randrange(8))
    message = str(refusal(crashed))
    assert str(path) in message
    assert "join` again" in message


def test_zeroed_record_is_refused_anywhere_but_at_the_tail(crashed: Path) -> None:
    for path in segments(crashed):
        original = path.read_bytes()
        found = records(path)
        for start, end in found[:-1] if path == segments(crashed)[-1] else found:
            zero(path, start, end)
            error = refusal(crashed)
            assert error.metadata["file"] == str(path)
            assert error.metadata["offset"] == str(start)
            path.write_bytes(original)


def test_zeroed_rest_below_what_was_claimed_is_refused(closed: Path) -> None:
    path = segments(closed)[-1]
    *_, (start, _), (last, _) = records(path)
    zero(path, start, last)  # only the final claim is left
    assert "had been synced" in str(refusal(closed))


def test_last_record_is_cut_when_its_sync_was_never_claimed(crashed: Path) -> None:
    path = segments(crashed)[-1]
    start, end = records(path)[-1]
    flip(path, (start + end) // 2)
    log = open_log(crashed)
    assert log.last_index == ENTRIES
    log.close()


def test_damaged_last_entry_is_refused_after_a_clean_close(closed: Path) -> None:
    path = segments(closed)[-1]
    start, end = records(path)[-2]  # behind it is only the claim
    flip(path, (start + end) // 2)
    assert "had been synced" in str(refusal(closed))


async def test_damaged_last_entry_is_refused_after_an_idle_while(tmp_path: Path) -> None:
    log = open_log(tmp_path / "live")
    fill(log, 3)
    await asyncio.sleep(wal_module.IDLE_CLAIM_S * 2 + 0.2)
    shutil.copytree(tmp_path / "live", tmp_path / "crashed")
    log.close()
    path = segments(tmp_path / "crashed")[-1]
    start, end = records(path)[-2]
    flip(path, (start + end) // 2)
    assert "had been synced" in str(refusal(tmp_path / "crashed"))


def test_idle_log_claims_once(closed: Path) -> None:
    sizes = []
    for _ in range(3):
        open_log(closed).close()
        sizes.append(len(records(segments(closed)[-1])))
    assert sizes[2] - sizes[0] <= 2


@pytest.mark.parametrize("cut", range(1, 12))
@pytest.mark.parametrize("how", ["zeroed", "shortened"])
def test_torn_tail_is_cut_at_the_record(crashed: Path, cut: int, how: str) -> None:
    path = segments(crashed)[-1]
    start, end = records(path)[-1]
    at = start + (end - start) * cut // 12
    if how == "zeroed":
        zero(path, at, end)
    else:
        path.write_bytes(path.read_bytes()[:at])
    log = open_log(crashed)
    assert log.last_index == ENTRIES
    log.append([Entry(ENTRIES + 1, 3, b"instead")])
    log.close()
    again = open_log(crashed)
    assert again.entry(ENTRIES + 1).payload == b"instead"
    again.close()


def test_unsynced_pages_may_come_in_any_order(tmp_path: Path) -> None:
    log = open_log(tmp_path / "live")
    fill(log, 3)
    log.append([Entry(index, 2, bytes(150)) for index in range(5, 10)])  # one write, no sync
    shutil.copytree(tmp_path / "live", tmp_path / "crashed")
    log.close()
    path = segments(tmp_path / "crashed")[-1]
    zero(path, *records(path)[-4])
    again = open_log(tmp_path / "crashed")
    assert again.last_index == 5
    again.close()
    assert len(records(path)) < 8  # the valid ones behind the hole are gone for good


def test_without_fsync_nothing_is_claimed(tmp_path: Path) -> None:
    log = open_log(tmp_path, fsync=False)
    fill(log, 5)
    log.close()
    path = segments(tmp_path)[-1]
    zero(path, *records(path)[-3])
    again = open_log(tmp_path, fsync=False)
    assert again.last_index == 3
    again.close()


def test_missing_segment_is_refused(crashed: Path) -> None:
    for path in segments(crashed):
        kept = path.read_bytes()
        path.unlink()
        assert "missing" in str(refusal(crashed))
        path.write_bytes(kept)


def test_swapped_segment_is_refused(crashed: Path) -> None:
    first, second, *_ = segments(crashed)
    first.write_bytes(second.read_bytes())
    assert "file of this name" in str(refusal(crashed))


def test_segment_of_another_log_is_refused(crashed: Path, tmp_path: Path) -> None:
    other = open_log(tmp_path / "other")
    fill(other)
    other.close()
    segments(crashed)[1].write_bytes(segments(tmp_path / "other")[1].read_bytes())
    assert "does not follow" in str(refusal(crashed))


def test_later_format_is_told_from_damage(crashed: Path) -> None:
    path = segments(crashed)[0]
    header = pack_segment_header(1, 5, FORMAT + 1)
    path.write_bytes(header + path.read_bytes()[len(header) :])
    with pytest.raises(PreconditionError, match="install the version"):
        open_log(crashed)


def test_leftover_of_a_segment_in_the_making_is_removed(crashed: Path) -> None:
    leftover = crashed / f"{0x77:016x}.wal.new"
    leftover.write_bytes(b"half")
    log = open_log(crashed)
    assert not leftover.exists()
    log.close()


def test_payload_cannot_pass_for_a_record(tmp_path: Path) -> None:
    log = open_log(tmp_path / "live")
    fill(log, 3)
    shutil.copytree(tmp_path / "live", tmp_path / "copy")
    path = segments(tmp_path / "copy")[-1]
    start, end = records(path)[-1]
    forged = path.read_bytes()[start:end]
    other = open_log(tmp_path / "other")
    other.append([Entry(2, 1, b"x"), Entry(3, 1, forged), Entry(4, 1, b"y")])
    other.close()
    log.close()
    path = segments(tmp_path / "other")[-1]
    assert len(records(path)) == 5  # HEAD, three entries, the claim
