"""The queue's file: every record that was acknowledged is found again, or its damage is told."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest
from tests.fakes.disk import FaultyDisk

from weftmesh.agent.offline.queue_file import DAMAGED_PREFIX, FILE_NAME, QueueFile
from weftmesh.agent.raft.log.disk import SystemDisk
from weftmesh.runtime.frames import HEADER_BYTES, frames, read_frames

PAYLOADS = [b"first", b"", b"third " * 100, b"fourth"]
DISK = SystemDisk(fsync=False)


def test_records_come_back_in_order() -> None:
    contents = read_frames(frames(PAYLOADS, 0))
    assert (contents.payloads, contents.damaged) == (PAYLOADS, [])


def test_every_cut_leaves_the_whole_records_and_no_damage() -> None:
    data = frames(PAYLOADS, 0)
    for cut in range(len(data)):
        contents = read_frames(data[:cut])
        assert contents.damaged == []
        assert contents.payloads == PAYLOADS[: len(contents.payloads)]
        assert data[: contents.end] == frames(contents.payloads, 0)


def test_every_flipped_bit_costs_one_record_at_most_and_is_told() -> None:
    data = frames(PAYLOADS, 0)
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place % 8)
        contents = read_frames(bytes(flipped))
        assert len(contents.damaged) == 1, place
        assert len(contents.payloads) == len(PAYLOADS) - 1
        assert [one for one in PAYLOADS if one in contents.payloads] == contents.payloads


def test_a_record_inside_a_damaged_one_is_not_taken_for_one() -> None:
    forged = frames([b"forged"], 0)
    data = bytearray(frames([b"a" * 10 + forged, b"last"], 0))
    data[HEADER_BYTES] ^= 1
    assert read_frames(bytes(data)).payloads == [b"last"]


def test_the_file_keeps_what_was_appended_and_what_it_was_rewritten_to(tmp_path: Path) -> None:
    file, found = QueueFile.open(tmp_path / "offline", DISK)
    assert found == []
    file.append(PAYLOADS[:2])
    file.append(PAYLOADS[2:])
    file.close()

    file, found = QueueFile.open(tmp_path / "offline", DISK)
    assert found == PAYLOADS
    file.rewrite([b"only"])
    file.append([b"more"])
    file.close()

    assert QueueFile.open(tmp_path / "offline", DISK)[1] == [b"only", b"more"]
    assert (tmp_path / "offline" / FILE_NAME).stat().st_mode & 0o077 == 0


def test_damage_is_set_aside_and_the_rest_kept(tmp_path: Path) -> None:
    file, _ = QueueFile.open(tmp_path, DISK)
    file.append([b"one", b"two", b"three"])
    file.close()
    path = tmp_path / FILE_NAME
    data = bytearray(path.read_bytes())
    data[data.index(b"two")] ^= 4
    path.write_bytes(data)

    file, found = QueueFile.open(tmp_path, DISK)
    assert found == [b"one", b"three"]
    assert file.damaged_parts == 1
    (aside,) = tmp_path.glob(f"{DAMAGED_PREFIX}*")
    assert b"vwo" in aside.read_bytes() or b"two"[1:] in aside.read_bytes()
    file.append([b"four"])
    file.close()

    file, found = QueueFile.open(tmp_path, DISK)
    assert found == [b"one", b"three", b"four"]
    assert file.damaged_parts == 1  # told until somebody has looked


def test_a_torn_end_is_cut_without_a_word(tmp_path: Path) -> None:
    file, _ = QueueFile.open(tmp_path, DISK)
    file.append([b"one", b"two"])
    file.close()
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-1])

    file, found = QueueFile.open(tmp_path, DISK)
    assert (found, file.damaged_parts) == ([b"one"], 0)
    file.append([b"three"])
    assert QueueFile.open(tmp_path, DISK)[1] == [b"one", b"three"]


@pytest.mark.parametrize("seed", range(40))
def test_what_was_acknowledged_survives_a_power_cut_at_any_call(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    directory = tmp_path / "offline"
    directory.mkdir()
    (directory / FILE_NAME).touch()
    disk = FaultyDisk(directory, fail_at=rng.randrange(1, 14), error=errno.EIO)
    kept: list[bytes] = []
    offered: list[bytes] = []
    try:
        file, _ = QueueFile.open(directory, disk)
        for number in range(4):
            offered = [b"%d " % number * rng.randrange(1, 600)]
            if number == 2:
                file.rewrite([*kept[1:], *offered])
                kept = kept[1:]
            else:
                file.append(offered)
            kept += offered
            offered = []
    except OSError:
        pass
    after = tmp_path / "after"
    disk.power_cut(after, rng)

    found = QueueFile.open(after, DISK)[1] if (after / FILE_NAME).exists() else []

    # An attempt that failed may have left its record, or have taken what a rewrite was to take.
    assert [one for one in found if one in kept] in (kept, kept[1:])
    assert set(found) <= {*kept, *offered}
