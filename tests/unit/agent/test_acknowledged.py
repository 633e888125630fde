from __future__ import annotations

import asyncio
import os
import random
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from structlog.testing import capture_logs

from weftmesh.agent.audit.acknowledged import FILE_RECORDS_MAX, NOTES_MAX, RECORD_BYTES, AcknowledgedJournal
from weftmesh.core.board.auditing import acknowledged_write


def note(number: int) -> tuple[int, bytes]:
    return number, number.to_bytes(16, "big")


def writes(*numbers: int) -> list[bytes]:
    return [acknowledged_write(*note(number)) for number in numbers]


@asynccontextmanager
async def journal_in(directory: Path, file_records_max: int = FILE_RECORDS_MAX) -> AsyncIterator[AcknowledgedJournal]:
    journal = AcknowledgedJournal.open(directory, file_records_max)
    try:
        yield journal
    finally:
        await journal.close()


async def test_what_was_noted_is_there_after_a_restart_oldest_first(tmp_path: Path) -> None:
    async with journal_in(tmp_path / "journal") as journal:
        for number in range(5):
            journal.note(note(number))
        assert await journal.newest(10) == writes(0, 1, 2, 3, 4)
        journal.note(note(5))
    async with journal_in(tmp_path / "journal") as journal:
        journal.note(note(6))
        assert await journal.newest(10) == writes(*range(7))
        assert await journal.newest(2) == writes(5, 6)
        assert await journal.newest(0) == []


async def test_the_oldest_are_forgotten_when_both_files_are_full(tmp_path: Path) -> None:
    async with journal_in(tmp_path, file_records_max=10) as journal:
        for number in range(47):
            journal.note(note(number))
            if number % 9 == 0:
                await journal.flush()
        kept = await journal.newest(1_000)
    assert kept == writes(*range(30, 47))
    assert all(one.stat().st_size <= 10 * RECORD_BYTES for one in os.scandir(tmp_path))


async def test_a_torn_end_is_cut_and_written_over(tmp_path: Path) -> None:
    for seed in range(20):
        directory = tmp_path / str(seed)
        async with journal_in(directory) as journal:
            for number in range(8):
                journal.note(note(number))
        size_bytes = random.Random(seed).randrange(8 * RECORD_BYTES)
        os.truncate(directory / "newer", size_bytes)
        with (directory / "newer").open("ab") as file:
            file.write(b"\xa5" * (seed % 40))
        whole = size_bytes // RECORD_BYTES
        async with journal_in(directory) as journal:
            journal.note(note(100))
            assert await journal.newest(100) == writes(*range(whole), 100)
        async with journal_in(directory) as journal:
            assert (await journal.newest(100))[: whole + 1] == writes(*range(whole), 100)


async def test_notes_are_bounded_while_the_disk_does_not_take_them(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        for number in range(NOTES_MAX + 5):
            journal.note(note(number))
        kept = await journal.newest(NOTES_MAX * 2)
    assert (len(kept), kept[0], kept[-1]) == (NOTES_MAX, *writes(5, NOTES_MAX + 4))


async def test_a_disk_that_refuses_stops_nobody(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        journal.note(note(1))
        await journal.flush()
        read_only = os.open(tmp_path / "newer", os.O_RDONLY)
        os.dup2(read_only, journal.fileno)
        os.close(read_only)
        journal.note(note(2))
        assert await journal.newest(10) == writes(1)


async def test_a_disk_that_is_full_for_a_while_leaves_no_hole(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        journal.note(note(1))
        await journal.flush()
        with capture_logs() as said, limited(resource.RLIMIT_FSIZE, 2 * RECORD_BYTES + 10):
            for number in (2, 3, 4):
                journal.note(note(number))
            await journal.flush()
        assert [one["event"] for one in said] == ["acknowledged writes are not journaled"]
        journal.note(note(5))
        assert await journal.newest(10) == writes(1, 5)


async def test_a_journal_that_could_not_go_on_in_a_new_file_does_so_later(tmp_path: Path) -> None:
    async with journal_in(tmp_path, file_records_max=2) as journal:
        for number in (1, 2):
            journal.note(note(number))
        await journal.flush()
        with limited(resource.RLIMIT_NOFILE, journal.fileno):
            journal.note(note(3))
            await journal.flush()
        journal.note(note(4))
        assert await journal.newest(10) == writes(1, 2, 4)


@contextmanager
def limited(what: int, limit: int) -> Iterator[None]:
    before = resource.getrlimit(what)
    resource.setrlimit(what, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


async def test_notes_are_kept_without_anybody_asking(tmp_path: Path) -> None:
    async with journal_in(tmp_path) as journal:
        keeping = asyncio.create_task(journal.keep())
        journal.note(note(1))
        async with asyncio.timeout(30):
            while not (tmp_path / "newer").stat().st_size:  # noqa: ASYNC110, a file wakes nobody
                await asyncio.sleep(0.05)
        keeping.cancel()
