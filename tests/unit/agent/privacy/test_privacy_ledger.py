"""Recording: durable before it returns, in order, chained across files; a disk that refuses stops what would leave."""

from __future__ import annotations

import asyncio
import errno
import stat
from pathlib import Path

import pytest
from tests.fakes.disk import FaultyDisk
from tests.unit.agent.privacy.ledger_cases import (
    SMALL_FILE_BYTES,
    egress,
    filled,
    ledger_in,
    newest,
    pieces_of,
    verified,
    whys,
)

from weftmesh.agent.privacy.ledger import BATCH_RECORDS_MAX, EGRESS, WAITING_MAX, EgressLedger
from weftmesh.core.errors import InvalidInputError, OverloadedError, PreconditionError
from weftmesh.core.hash_chain import GENESIS, Head
from weftmesh.core.privacy.egress import Egress, EgressClass


async def test_an_empty_ledger_verifies_and_ends_before_the_first_record(tmp_path: Path) -> None:
    async with ledger_in(tmp_path / "egress") as ledger:
        assert ledger.head == GENESIS
        assert (await verified(ledger)).passed
        assert (await verified(ledger, GENESIS)).anchor_found
    assert EGRESS.paths(tmp_path / "egress") == []


async def test_a_record_says_what_leaves_and_names_the_one_before(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        heads = [await ledger.record(egress(number)) for number in range(3)]
        rows = [piece.record for piece in await pieces_of(ledger)]
    assert [row.content for row in rows if row] == [egress(0), egress(1), egress(2)]
    assert [row.previous for row in rows if row] == [GENESIS.hash, heads[0].hash, heads[1].hash]
    assert [(row.sequence, row.durable_sequence, row.time_us) for row in rows if row] == [
        (1, 0, 1),
        (2, 1, 2),
        (3, 2, 3),
    ]


async def test_concurrent_records_keep_the_order_of_their_calls_and_share_syncs(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path)
    count = 2 * BATCH_RECORDS_MAX + 10
    async with ledger_in(tmp_path, disk) as ledger:
        heads = await asyncio.gather(*(ledger.record(egress(number)) for number in range(count)))
        assert [head.sequence for head in heads] == list(range(1, count + 1))
        assert await whys(ledger) == [f"test {number}" for number in range(count)]
        assert (await verified(ledger)).passed
    assert disk.calls < 20


async def test_nobody_has_an_answer_before_the_disk_has_the_record(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path)
    disk.syncs_may_go.clear()
    async with ledger_in(tmp_path, disk) as ledger:
        recording = asyncio.create_task(ledger.record(egress()))
        await asyncio.to_thread(disk.sync_entered.wait, 10)
        assert not recording.done()
        disk.syncs_may_go.set()
        assert (await recording).sequence == 1


async def test_a_caller_that_gives_up_leaves_the_others_alone(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        first, second = (asyncio.create_task(ledger.record(egress(number))) for number in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).sequence == 2
        assert await whys(ledger) == ["test 0", "test 1"]


async def test_full_files_are_sealed_and_the_chain_goes_on_across_them(tmp_path: Path) -> None:
    heads = await filled(tmp_path, 60, SMALL_FILE_BYTES)
    paths = EGRESS.paths(tmp_path)
    assert len(paths) > 3
    assert all(path.stat().st_size <= SMALL_FILE_BYTES for path in paths)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths[:-1]} == {0o400}
    async with ledger_in(tmp_path, file_bytes_max=SMALL_FILE_BYTES) as ledger:
        assert ledger.head == heads[-1]
        assert (await ledger.record(egress(60))).sequence == 61
        verification = await verified(ledger, heads[17])
    assert (verification.passed, verification.anchor_found, verification.records) == (True, True, 61)


async def recorded(ledger: EgressLedger, number: int) -> Head | PreconditionError:
    try:
        return await ledger.record(egress(number))
    except PreconditionError as error:
        return error


@pytest.mark.parametrize("fail_at", range(1, 8))
async def test_a_full_disk_refuses_the_egress_and_the_ledger_goes_on_when_there_is_room(
    tmp_path: Path, fail_at: int
) -> None:
    disk = FaultyDisk(tmp_path, error=errno.ENOSPC)
    async with ledger_in(tmp_path, disk, 400) as ledger:
        await ledger.record(egress(0))
        disk.fail_at = disk.calls + fail_at
        refused = 1
        while isinstance(answer := await recorded(ledger, refused), Head):
            refused += 1
        assert answer.reason == "EGRESS_NOT_RECORDED"
        assert "must not leave" in str(answer)
        with pytest.raises(PreconditionError, match="No space left"):
            await ledger.record(egress(refused))
        assert (await verified(ledger)).passed
        disk.fail_at = None
        assert (await ledger.record(egress(100))).sequence == refused + 1
        assert await whys(ledger) == [*(f"test {one}" for one in range(refused)), "test 100"]
        assert (await verified(ledger)).passed
    async with ledger_in(tmp_path) as ledger:
        assert (await verified(ledger)).passed
        assert ledger.head.sequence == refused + 1


async def test_what_a_failed_write_left_is_no_record_after_a_restart(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path)
    async with ledger_in(tmp_path, disk) as ledger:
        head = await ledger.record(egress(0))
        disk.fail_at = disk.calls + 1
        with pytest.raises(PreconditionError):
            await asyncio.gather(*(ledger.record(egress(number)) for number in range(1, 4)))
    size_bytes = newest(tmp_path).stat().st_size
    async with ledger_in(tmp_path) as ledger:
        kept = ledger.head.sequence
        assert kept >= head.sequence
        assert (await ledger.record(egress(9))).sequence == kept + 1
        assert (await verified(ledger, head)).passed
    assert size_bytes > 0


@pytest.mark.parametrize("between", [0, 1])
async def test_what_a_failed_write_left_is_not_sealed_with_the_file(tmp_path: Path, between: int) -> None:
    disk = FaultyDisk(tmp_path)
    async with ledger_in(tmp_path, disk, SMALL_FILE_BYTES) as ledger:
        await ledger.record(egress(0))
        disk.fail_at = disk.calls + 2  # the sync, not the write
        refused = await asyncio.gather(*(recorded(ledger, number) for number in range(1, 11)))
        assert all(isinstance(one, PreconditionError) for one in refused)
        disk.fail_at = None
        for number in range(between):
            await ledger.record(egress(number))
        await asyncio.gather(*(ledger.record(egress(number)) for number in range(15)))
        assert len(EGRESS.paths(tmp_path)) == 2
        assert (await verified(ledger)).findings == []


async def test_too_many_that_wait_are_refused_at_once(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path)
    disk.syncs_may_go.clear()
    async with ledger_in(tmp_path, disk) as ledger:
        first = asyncio.create_task(ledger.record(egress()))
        await asyncio.to_thread(disk.sync_entered.wait, 10)
        waiting = [asyncio.create_task(ledger.record(egress())) for _ in range(WAITING_MAX)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError, match="wait for the disk"):
            await ledger.record(egress())
        disk.syncs_may_go.set()
        await asyncio.gather(first, *waiting)
        assert ledger.head.sequence == WAITING_MAX + 1


async def test_what_concerns_health_leaves_no_trace_here(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        with pytest.raises(InvalidInputError, match="own ledger"):
            await ledger.record(Egress(EgressClass.HEALTH, "node2", 1, bytes(32), "a level"))
        assert ledger.head == GENESIS
    assert EGRESS.paths(tmp_path) == []


async def test_a_ledger_that_is_closed_refuses_and_has_what_waited(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        recording = [asyncio.create_task(ledger.record(egress(number))) for number in range(50)]
        await asyncio.sleep(0)
        await ledger.close()
        assert [(await one).sequence for one in recording] == list(range(1, 51))
        with pytest.raises(PreconditionError, match="stops"):
            await ledger.record(egress())
