"""Reports and long readings: what is counted, in which order, and what else may go on meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from structlog.testing import capture_logs
from tests.unit.agent.privacy.ledger_cases import SMALL_FILE_BYTES, egress, filled, flip, ledger_in, pieces_of, verified

from weftmesh.agent.chain.checking import FINDINGS_MAX
from weftmesh.agent.chain.slicing import SLICE_ITEMS, slices
from weftmesh.agent.privacy.anchoring import note_anchors
from weftmesh.agent.privacy.ledger import EGRESS, EgressLedger
from weftmesh.agent.privacy.tallying import Tally
from weftmesh.core.privacy.totals import EgressQuery

RECORDS = 40


async def tallied(ledger: EgressLedger, query: EgressQuery) -> tuple[Tally, list[int]]:
    """The tally, and the numbers of the records that the query took."""
    tally = Tally(query)
    taken = [one for one in tally.run((await ledger.snapshot()).parts) if one is not None]
    return tally, [record.sequence for record, _ in taken]


async def test_a_report_takes_what_was_asked_for_from_all_files(tmp_path: Path) -> None:
    async with ledger_in(tmp_path, file_bytes_max=SMALL_FILE_BYTES) as ledger:
        for number in range(RECORDS):
            await ledger.record(egress(number, peer=f"node{number % 2}"))
        everything, _ = await tallied(ledger, EgressQuery())
        _, taken = await tallied(ledger, EgressQuery(since_us=20, peer="node1"))
    assert [(row.peer, row.payloads) for row in everything.totals.sorted_rows()] == [("node0", 20), ("node1", 20)]
    assert taken == list(range(20, RECORDS + 1, 2))


async def test_a_report_on_a_damaged_ledger_counts_the_rest_and_says_so(tmp_path: Path) -> None:
    await filled(tmp_path, RECORDS, SMALL_FILE_BYTES)
    flip(EGRESS.paths(tmp_path)[0], 200)
    async with ledger_in(tmp_path, file_bytes_max=SMALL_FILE_BYTES) as ledger:
        tally, taken = await tallied(ledger, EgressQuery())
    assert (len(taken), tally.unreadable_parts) == (RECORDS - 1, 1)


async def test_findings_are_counted_beyond_those_that_are_told(tmp_path: Path) -> None:
    await filled(tmp_path, 3 * FINDINGS_MAX)
    (path,) = EGRESS.paths(tmp_path)
    async with ledger_in(tmp_path) as ledger:
        every_second = [piece.offset_bytes for piece in await pieces_of(ledger)][::2]
        for offset_bytes in every_second:
            flip(path, offset_bytes + 20)
        found = await verified(ledger)
    assert len(found.findings) == FINDINGS_MAX
    assert found.findings_count >= len(every_second) - 1


async def test_records_go_on_while_somebody_reads(tmp_path: Path) -> None:
    await filled(tmp_path, RECORDS, SMALL_FILE_BYTES)
    async with ledger_in(tmp_path, file_bytes_max=SMALL_FILE_BYTES) as ledger:
        reading = Tally(EgressQuery()).run((await ledger.snapshot()).parts)
        next(reading)
        for number in range(RECORDS):
            await ledger.record(egress(number))
        assert 1 + len(list(reading)) == RECORDS, "a snapshot stays what it was"


async def test_slices_hold_everything_in_order() -> None:
    drawn = [piece async for piece in slices(iter(range(2 * SLICE_ITEMS + 5)))]
    assert [item for piece in drawn for item in piece] == list(range(2 * SLICE_ITEMS + 5))
    assert [len(piece) for piece in drawn] == [SLICE_ITEMS, SLICE_ITEMS, 5]


async def test_the_head_is_noted_in_the_log_again_and_again(tmp_path: Path) -> None:
    async with ledger_in(tmp_path) as ledger:
        with capture_logs() as logged:
            noting = asyncio.create_task(note_anchors(ledger, interval_s=0.01))
            head = await ledger.record(egress())
            async with asyncio.timeout(10):
                while str(head) not in [line.get("anchor") for line in logged]:  # noqa: ASYNC110, a log tells nobody
                    await asyncio.sleep(0.01)
            noting.cancel()
            with suppress(asyncio.CancelledError):
                await noting
