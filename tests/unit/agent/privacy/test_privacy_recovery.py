"""After a crash: what was acknowledged is there, what was not is cut, and anything else is a break that is told."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest
from tests.fakes.disk import FaultyDisk
from tests.unit.agent.privacy.ledger_cases import (
    SMALL_FILE_BYTES,
    egress,
    filled,
    flip,
    ledger_in,
    newest,
    verified,
    whys,
)

from weftmesh.agent.chain.reading import Part, read_part
from weftmesh.agent.chain.recovery import NOTE_NAME, pack_note
from weftmesh.agent.privacy.ledger import EGRESS, EgressLedger
from weftmesh.core.errors import PreconditionError
from weftmesh.core.hash_chain import Head
from weftmesh.runtime.frames import HEADER_BYTES

RECORDS = 8


def places(path: Path) -> list[tuple[int, int]]:
    """Begin and end of each record."""
    return [(one.offset_bytes, one.end_bytes) for one in read_part(Part(path, path.stat().st_size), EGRESS.codec)]


async def append_unacknowledged(directory: Path) -> int:
    """Two more records as a crash leaves them between write and answer; the size before them."""
    before = newest(directory).stat().st_size
    note = (directory / NOTE_NAME).read_bytes()
    async with ledger_in(directory) as ledger:
        await asyncio.gather(ledger.record(egress(100)), ledger.record(egress(101)))
    (directory / NOTE_NAME).write_bytes(note)
    return before


async def test_a_tail_that_was_never_acknowledged_is_cut_wherever_it_was_torn(tmp_path: Path) -> None:
    heads = await filled(tmp_path / "whole", RECORDS)
    before = await append_unacknowledged(tmp_path / "whole")
    data = newest(tmp_path / "whole").read_bytes()
    for size_bytes in range(before, len(data), 7):
        directory = tmp_path / f"cut-{size_bytes}"
        shutil.copytree(tmp_path / "whole", directory)
        newest(directory).write_bytes(data[:size_bytes])
        async with ledger_in(directory) as ledger:
            assert ledger.head.sequence in (RECORDS, RECORDS + 1)
            assert (await verified(ledger, heads[-1])).passed
            await ledger.record(egress(9))
            assert (await verified(ledger, heads[-1])).passed, size_bytes


async def test_unacknowledged_bytes_that_are_damaged_in_the_middle_are_cut_too(tmp_path: Path) -> None:
    heads = await filled(tmp_path, RECORDS)
    before = await append_unacknowledged(tmp_path)
    flip(newest(tmp_path), before + HEADER_BYTES + 3)
    async with ledger_in(tmp_path) as ledger:
        assert ledger.head == heads[-1]
        await ledger.record(egress(9))
        assert (await verified(ledger)).passed
        assert len(await whys(ledger)) == RECORDS + 1


@pytest.mark.parametrize("number", range(RECORDS))
async def test_a_flipped_bit_is_found_with_its_file_and_record_and_named_by_a_break(
    tmp_path: Path, number: int
) -> None:
    await filled(tmp_path, RECORDS)
    damaged = newest(tmp_path)
    begin, end = places(damaged)[number]
    flip(damaged, random.Random(number).randrange(begin, end))
    data = damaged.read_bytes()

    async with ledger_in(tmp_path) as ledger:
        before = await verified(ledger)
        assert not before.passed
        head = await ledger.record(egress(50))
        after = await verified(ledger)

    assert head.sequence == RECORDS + 2, "the break is record 9"
    assert damaged.read_bytes() == data, "evidence stays as it is"
    damage, named = after.findings
    assert (damage.file, damage.offset_bytes, damage.sequence) == (damaged.name, begin, number + 1)
    assert "went on here" in named.found
    assert damaged.name in named.found
    assert f"records {number + 1} to {RECORDS} were acknowledged" in named.found


async def test_acknowledged_records_that_are_cut_off_are_missed(tmp_path: Path) -> None:
    await filled(tmp_path, RECORDS)
    path = newest(tmp_path)
    path.write_bytes(path.read_bytes()[: places(path)[5][1]])
    async with ledger_in(tmp_path) as ledger:
        found = await verified(ledger)
        assert "records 7 to 8 were acknowledged" in found.findings[0].found
        assert (await ledger.record(egress(9))).sequence == RECORDS + 2
    async with ledger_in(tmp_path) as ledger:
        found = await verified(ledger)
        assert [one.sequence for one in found.findings] == [RECORDS + 1]
        assert (await ledger.record(egress(10))).sequence == RECORDS + 3, "one break, not one at every start"


async def test_a_ledger_that_lost_all_its_files_says_so(tmp_path: Path) -> None:
    await filled(tmp_path, RECORDS)
    newest(tmp_path).unlink()
    async with ledger_in(tmp_path) as ledger:
        await ledger.record(egress(1))
        found = await verified(ledger)
    assert f"records 1 to {RECORDS} were acknowledged" in found.findings[0].found


async def test_a_damaged_sealed_file_does_not_stop_the_ledger_and_is_found(tmp_path: Path) -> None:
    heads = await filled(tmp_path, 60, SMALL_FILE_BYTES)
    sealed = EGRESS.paths(tmp_path)[1]
    begin, end = places(sealed)[3]
    first = int(sealed.stem)
    flip(sealed, end - 1)
    async with ledger_in(tmp_path, file_bytes_max=SMALL_FILE_BYTES) as ledger:
        await ledger.record(egress(60))
        found = await verified(ledger, heads[30])
    assert [(one.file, one.offset_bytes, one.sequence) for one in found.findings] == [(sealed.name, begin, first + 3)]
    assert found.anchor_found


async def test_a_file_in_the_middle_that_is_gone_is_missed(tmp_path: Path) -> None:
    heads = await filled(tmp_path, 60, SMALL_FILE_BYTES)
    EGRESS.paths(tmp_path)[1].unlink()
    async with ledger_in(tmp_path, file_bytes_max=SMALL_FILE_BYTES) as ledger:
        found = await verified(ledger, heads[int(EGRESS.paths(tmp_path)[1].stem) - 2])
    assert "stands where record" in found.findings[0].found
    assert not found.anchor_found


async def test_a_ledger_written_anew_holds_no_earlier_anchor(tmp_path: Path) -> None:
    heads = await filled(tmp_path / "true", RECORDS)
    async with ledger_in(tmp_path / "forged") as ledger:
        for number in range(RECORDS):
            await ledger.record(egress(number, peer="somebody else"))
        assert (await verified(ledger)).passed
        found = await verified(ledger, heads[3])
        assert (found.anchor_found, "not the one that was noted" in found.findings[0].found) == (False, True)
        beyond = await verified(ledger, Head(99, heads[3].hash))
        assert "is not in the egress ledger" in beyond.findings[0].found


async def test_a_record_that_is_changed_while_the_node_runs_is_found(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        for number in range(RECORDS):
            await ledger.record(egress(number))
        path = newest(tmp_path)
        flip(path, path.stat().st_size - 1)
        found = await verified(ledger)
        assert found.findings[0].sequence == RECORDS
        path.write_bytes(b"")
        assert "should have cannot be read" in (await verified(ledger)).findings[0].found


async def test_a_note_that_is_lost_costs_nothing_that_verifies(tmp_path: Path) -> None:
    heads = await filled(tmp_path, RECORDS)
    (tmp_path / NOTE_NAME).write_bytes(b"nonsense")
    async with ledger_in(tmp_path) as ledger:
        assert ledger.head == heads[-1]
        assert (await verified(ledger)).passed


@pytest.mark.parametrize("leave_note", [True, False])
async def test_a_newest_file_that_is_sealed_or_empty_is_no_break(tmp_path: Path, leave_note: bool) -> None:
    heads = await filled(tmp_path, 60, SMALL_FILE_BYTES)
    sealed, last = EGRESS.paths(tmp_path)[-2:]
    if leave_note:
        last.write_bytes(b"")
        (tmp_path / NOTE_NAME).write_bytes(pack_note(heads[int(last.stem) - 2]))
    else:
        last.unlink()
        (tmp_path / NOTE_NAME).unlink()
    contents = sealed.read_bytes()
    async with ledger_in(tmp_path, file_bytes_max=SMALL_FILE_BYTES) as ledger:
        assert (await ledger.record(egress(1))).sequence == int(last.stem)
        assert (await verified(ledger)).passed
    assert sealed.read_bytes() == contents
    assert int(newest(tmp_path).stem) == int(last.stem)


async def test_a_newest_file_that_holds_nothing_of_what_was_acknowledged_is_a_break(tmp_path: Path) -> None:
    await filled(tmp_path, 60, SMALL_FILE_BYTES)
    last = newest(tmp_path)
    last.write_bytes(b"\0" * last.stat().st_size)
    async with ledger_in(tmp_path, file_bytes_max=SMALL_FILE_BYTES) as ledger:
        await ledger.record(egress(1))
        damage, named = (await verified(ledger)).findings
    assert (damage.file, damage.sequence) == (last.name, int(last.stem))
    assert f"{last.name}: it holds no record that can be read; records {int(last.stem)} to 60" in named.found


async def test_what_a_start_found_and_noted_as_its_head_outlives_a_power_cut(tmp_path: Path) -> None:
    for seed in range(30):
        directory = tmp_path / f"{seed}"
        directory.mkdir()
        disk = FaultyDisk(directory)
        died = EgressLedger.open(directory, disk, lambda: 1)
        await died.record(egress(0))
        disk.fail_at = disk.calls + 2  # the sync, not the write
        with pytest.raises(PreconditionError):
            await died.record(egress(1))
        disk.fail_at = None
        head = EgressLedger.open(directory, disk, lambda: 1).head
        assert head.sequence == 2
        disk.power_cut(tmp_path / f"{seed}-after", random.Random(seed))
        async with ledger_in(tmp_path / f"{seed}-after") as ledger:
            assert (await verified(ledger, head)).passed, seed


async def test_a_power_cut_loses_no_acknowledged_record_and_leaves_no_break(tmp_path: Path) -> None:
    for seed in range(60):
        rng = random.Random(seed)
        directory = tmp_path / f"{seed}"
        directory.mkdir()
        disk = FaultyDisk(directory)
        acknowledged: list[Head] = []
        async with ledger_in(directory, disk, SMALL_FILE_BYTES) as ledger:
            for number in range(rng.randrange(1, 12)):
                several = (ledger.record(egress(10 * number + one)) for one in range(rng.randrange(1, 5)))
                acknowledged += await asyncio.gather(*several)
            disk.syncs_may_go.clear()
            disk.sync_entered.clear()
            last = [asyncio.create_task(ledger.record(egress(900 + one))) for one in range(rng.randrange(1, 5))]
            await asyncio.to_thread(disk.sync_entered.wait, 10)
            after = tmp_path / f"{seed}-after"
            disk.power_cut(after, rng)
            disk.syncs_may_go.set()
            await asyncio.gather(*last)
        async with ledger_in(after, file_bytes_max=SMALL_FILE_BYTES) as ledger:
            assert ledger.head.sequence >= acknowledged[-1].sequence, seed
            found = await verified(ledger, acknowledged[-1])
            assert found.passed, (seed, found.findings)
            await ledger.record(egress(1))
            assert (await verified(ledger, acknowledged[-1])).passed, seed
