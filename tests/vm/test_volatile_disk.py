"""The disk of the power cuts, by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.vm.volatile_disk import SECTOR_BYTES, Cut, VolatileDisk

SECTORS = 8
FIRST, SECOND, THIRD = (letter * SECTOR_BYTES for letter in (b"1", b"2", b"3"))
NOTHING = bytes(SECTOR_BYTES)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(NOTHING * SECTORS)
    return path


@pytest.fixture
def disk(image: Path) -> Iterator[VolatileDisk]:
    made = VolatileDisk(image)
    yield made
    made.close()


def test_a_read_sees_the_last_write_among_what_was_there(disk: VolatileDisk) -> None:
    disk.write(SECTOR_BYTES, FIRST + FIRST, durable=False)
    disk.write(SECTOR_BYTES, SECOND, durable=False)
    assert disk.read(0, 4 * SECTOR_BYTES) == NOTHING + SECOND + FIRST + NOTHING


def test_a_cut_loses_what_was_not_flushed_and_nothing_else(disk: VolatileDisk, image: Path) -> None:
    disk.write(0, FIRST, durable=False)
    disk.flush()
    assert not disk.has_unflushed
    disk.write(0, SECOND, durable=False)
    disk.write(SECTOR_BYTES, SECOND, durable=True)
    disk.write(2 * SECTOR_BYTES, SECOND, durable=False)
    assert disk.has_unflushed
    assert disk.cut(lambda _: 0) == Cut(unflushed=2, lost=2, older=0)
    assert image.read_bytes()[: 3 * SECTOR_BYTES] == FIRST + SECOND + NOTHING


def test_a_cut_may_leave_any_version_of_any_sector(disk: VolatileDisk, image: Path) -> None:
    for version in (FIRST, SECOND, THIRD):
        disk.write(0, version + version + version, durable=False)
    kept = iter((2, 0, 3))
    assert disk.cut(lambda _: next(kept)) == Cut(unflushed=3, lost=1, older=1)
    assert image.read_bytes()[: 3 * SECTOR_BYTES] == SECOND + NOTHING + THIRD


def test_a_durable_write_is_never_older_than_what_was_cached(disk: VolatileDisk, image: Path) -> None:
    disk.write(0, FIRST, durable=False)
    disk.write(0, SECOND, durable=True)
    disk.cut(lambda versions: versions)
    assert image.read_bytes()[:SECTOR_BYTES] == SECOND
