"""The audit log: written in order, bounded, found out when it is changed, and patient with a disk that refuses."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from weftmesh.access.v1 import access_pb2, command_pb2
from weftmesh.agent.access.authorizing import Decision
from weftmesh.agent.access.journal import Note
from weftmesh.agent.audit_log.log import BATCH_NOTES_MAX, WAITING_MAX, AuditLog
from weftmesh.agent.audit_log.reading import AuditQuery, read_all, read_newest
from weftmesh.agent.audit_log.retention import OLD_FOR_S, US_PER_DAY, Retention
from weftmesh.agent.audit_log.room import AUDIT
from weftmesh.agent.chain.appending import Chain
from weftmesh.agent.chain.checking import Verification
from weftmesh.agent.raft.log.disk import SystemDisk
from weftmesh.agent.serving.callers import Caller
from weftmesh.board.v1 import board_pb2
from weftmesh.core.audit_log.entries import Content, Entry, Lost
from weftmesh.core.errors import ForbiddenError, OverloadedError, PreconditionError, WeftmeshError
from weftmesh.core.hash_chain import Head, Pruned
from weftmesh.runtime.clock import wall_us

SECRET = "the merger"
ANN = Caller("ann@n1", "ann", "", 1_000, 1_000, 4711)
OPEN = Decision(True, access_pb2.BASIS_OPEN)
KEEP_ALL = Retention(days=400, size_bytes=2**40)
SMALL_FILE_BYTES = 2_000


class RefusingDisk(SystemDisk):
    """Refuses to write while it is full."""

    def __init__(self) -> None:
        super().__init__(fsync=False)
        self.full = False

    def write(self, fd: int, data: bytes, offset: int) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(fd, data, offset)


class SlowDisk(SystemDisk):
    """Takes its time."""

    def __init__(self) -> None:
        super().__init__(fsync=False)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        time.sleep(0.2)
        super().write(fd, data, offset)


class KeepingDisk(SystemDisk):
    """Lets go of nothing."""

    def __init__(self) -> None:
        super().__init__(fsync=False)

    def unlink(self, path: Path) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))


def update(number: int, *, error: WeftmeshError | None = None, decision: Decision | None = OPEN) -> Note:
    task = board_pb2.Task(name=f"projects/PROJ/tasks/{number:026d}", title=SECRET, description=SECRET)
    request = board_pb2.UpdateTaskRequest(task=task, request_id=f"r{number}")
    request.update_mask.paths.extend(["title", "description"])
    return Note(wall_us(), ANN, b"", "/weftmesh.board.v1.BoardService/UpdateTask", request, None, error, decision)


def replace_error(note: Note, error: WeftmeshError) -> Note:
    return note._replace(error=error, decision=None)


@asynccontextmanager
async def log_in(
    directory: Path,
    *,
    disk: SystemDisk | None = None,
    retention: Retention = KEEP_ALL,
    file_bytes_max: int = 1024 * 1024,
    strict: bool = False,
    waiting_max: int = WAITING_MAX,
) -> AsyncIterator[AuditLog]:
    chain: Chain[Content] = Chain.open(directory, AUDIT, disk or SystemDisk(fsync=False), file_bytes_max)
    log = AuditLog(chain, retention, strict=strict, waiting_max=waiting_max)
    try:
        yield log
    finally:
        await log.close()


async def written(directory: Path, count: int, file_bytes_max: int = 1024 * 1024) -> None:
    async with log_in(directory, file_bytes_max=file_bytes_max) as log:
        for number in range(count):
            log.note(update(number))
            await log.flush()


async def verified(log: AuditLog, anchor: Head | None = None) -> Verification[Content]:
    await log.flush()
    verification = Verification(AUDIT, await log.snapshot(), anchor)
    for _ in verification.run():
        pass
    return verification


async def contents(log: AuditLog) -> list[object]:
    await log.flush()
    parts = (await log.snapshot()).parts
    found = [piece for piece in read_all(parts, AuditQuery()) if piece is not None]
    return [piece.record.content for piece in found if piece.record is not None]


async def test_what_is_noted_is_written_in_its_order_without_a_tasks_text(tmp_path: Path) -> None:
    async with log_in(tmp_path) as log:
        for number in range(50):
            log.note(update(number))
        entries = await contents(log)
        assert (await verified(log)).passed
    assert [one.request_id for one in entries if isinstance(one, Entry)] == [f"r{number}" for number in range(50)]
    first = entries[0]
    assert isinstance(first, Entry)
    assert (first.actor, first.origin, first.method) == ("ann@n1", "uid=1000 pid=4711", "BoardService/UpdateTask")
    assert (first.project, first.fields) == ("PROJ", ("description", "title"))
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in AUDIT.paths(tmp_path))


async def test_a_record_of_roles_says_what_was_granted(tmp_path: Path) -> None:
    request = access_pb2.ChangeAccessRequest(
        grant_role=command_pb2.GrantRole(subject="user:eve", project="PROJ", role=3)
    )
    async with log_in(tmp_path) as log:
        log.note(Note(1, ANN, b"", "/weftmesh.access.v1.AccessService/ChangeAccess", request, None, None, OPEN))
        (entry,) = await contents(log)
    assert isinstance(entry, Entry)
    assert (entry.target, entry.project, entry.fields) == ("user:eve", "PROJ", ("grant_role", "role=admin"))


async def test_a_changed_record_is_found_with_its_place(tmp_path: Path) -> None:
    await written(tmp_path, 12, SMALL_FILE_BYTES)
    path = AUDIT.paths(tmp_path)[0]
    path.chmod(0o600)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"r1"', b'"rX"', 1))
    async with log_in(tmp_path, file_bytes_max=SMALL_FILE_BYTES) as log:
        found = (await verified(log)).findings
    assert {one.file for one in found} == {path.name}
    assert found[0].offset_bytes > 0


async def test_records_that_were_taken_out_are_found_at_the_beginning_in_the_middle_and_at_the_end(
    tmp_path: Path,
) -> None:
    for which, told in ((0, "are gone"), (1, "stands where record"), (-1, "acknowledged")):
        directory = tmp_path / str(which)
        await written(directory, 20, SMALL_FILE_BYTES)
        AUDIT.paths(directory)[which].unlink()
        async with log_in(directory, file_bytes_max=SMALL_FILE_BYTES) as log:
            log.note(update(99))
            found = (await verified(log)).findings
        assert any(told in one.found for one in found), (which, found)


async def test_what_is_too_much_is_let_go_and_the_chain_says_so(tmp_path: Path) -> None:
    retention = Retention(days=400, size_bytes=3 * SMALL_FILE_BYTES)
    async with log_in(tmp_path, retention=retention, file_bytes_max=SMALL_FILE_BYTES) as log:
        for number in range(60):
            log.note(update(number))
            await log.flush()
        assert len(AUDIT.paths(tmp_path)) <= 4
        assert any(isinstance(one, Pruned) for one in await contents(log))
        verification = await verified(log)
        assert verification.passed, verification.findings
        assert verification.first_sequence > 1
    AUDIT.paths(tmp_path)[0].unlink()
    async with log_in(tmp_path, retention=retention, file_bytes_max=SMALL_FILE_BYTES) as log:
        assert "are gone" in (await verified(log)).findings[0].found


async def test_what_is_too_old_is_let_go(tmp_path: Path) -> None:
    await written(tmp_path, 12, SMALL_FILE_BYTES)
    old, *rest = AUDIT.paths(tmp_path)
    os.utime(old, ns=(0, (wall_us() - 3 * US_PER_DAY) * 1_000))
    running_s = iter((0.0, 0.0, OLD_FOR_S, OLD_FOR_S))
    retention = Retention(2, 2**40, lambda: next(running_s))
    async with log_in(tmp_path, retention=retention, file_bytes_max=SMALL_FILE_BYTES) as log:
        for number in (98, 99):
            assert old in AUDIT.paths(tmp_path)
            log.note(update(number))
            assert (await verified(log)).passed
    assert old not in AUDIT.paths(tmp_path)
    assert rest[0] in AUDIT.paths(tmp_path)


def test_a_clock_that_jumps_and_is_set_right_within_a_day_costs_no_file(tmp_path: Path) -> None:
    running_s = 0.0
    retention = Retention(2, 2**40, lambda: running_s)
    chain = Chain.open(tmp_path, AUDIT, SystemDisk(), SMALL_FILE_BYTES)
    for number in range(24):
        chain.append([(wall_us(), Entry("ann@n1", "log", "x", target=str(number)))])
    before, ahead_us = AUDIT.paths(tmp_path), wall_us() + 900 * US_PER_DAY
    assert len(before) > 2
    for hours, now_us in ((0, ahead_us), (23, ahead_us), (23.5, wall_us()), (47, ahead_us), (70, ahead_us)):
        running_s = hours * 3_600.0
        retention.apply(chain, now_us)
        assert AUDIT.paths(tmp_path) == before
    running_s = 71 * 3_600.0
    retention.apply(chain, ahead_us)
    assert before[0] not in AUDIT.paths(tmp_path), "a clock that stays so is right"
    chain.close()


async def test_while_the_disk_refuses_notes_wait_and_a_strict_node_changes_nothing(tmp_path: Path) -> None:
    disk = RefusingDisk()
    async with log_in(tmp_path, disk=disk, strict=True) as log:
        disk.full = True
        log.note(update(1))
        for _ in range(100):
            await asyncio.sleep(0.05)
            if log.failure:
                break
        with pytest.raises(PreconditionError, match="told to change nothing"):
            log.check()
        log.note(update(2))
        disk.full = False
        for _ in range(100):
            await asyncio.sleep(0.05)
            if not log.failure:
                break
        log.check()
        assert len(await contents(log)) == 2


async def test_what_cannot_be_kept_is_counted_and_the_count_is_a_record(tmp_path: Path) -> None:
    async with log_in(tmp_path, waiting_max=10) as log:
        for number in range(15):
            log.event(Entry("ann@n1", "log", "x", target=str(number)))
        assert log.lost == 5
        lost = [one for one in await contents(log) if isinstance(one, Lost)]
        assert [one.count for one in lost] == [5]
        assert (await verified(log)).passed


async def test_a_refusal_that_repeats_is_written_once_and_counted(tmp_path: Path) -> None:
    async with log_in(tmp_path) as log:
        for _ in range(1_000):
            log.note(update(1, error=ForbiddenError("no"), decision=None))
        log.note(update(2, error=ForbiddenError("no"), decision=None))
    async with log_in(tmp_path) as log:
        entries = [one for one in await contents(log) if isinstance(one, Entry)]
    assert len(entries) == 3
    assert sum(1 + one.repeats for one in entries) == 1_001
    assert {one.outcome.value for one in entries} == {"denied"}


async def test_whoever_asks_too_much_is_written_once_a_minute_whatever_he_asks(tmp_path: Path) -> None:
    begun_us = wall_us() - 100_000_000
    too_much = replace_error(update(0), OverloadedError("too often", reason="RATE_LIMITED"))
    async with log_in(tmp_path) as log:
        for number in range(3_000):  # over 75 s
            log.note(too_much._replace(time_us=begun_us + number * 25_000, method=f"/a.B/M{number}"))
        log.note(replace_error(too_much, OverloadedError("too many", reason="TOO_MANY_CALLS")))
    async with log_in(tmp_path) as log:
        entries = [one for one in await contents(log) if isinstance(one, Entry)]
    limited = [one for one in entries if one.reason == "RATE_LIMITED"]
    assert sum(1 + one.repeats for one in limited) == 3_000
    assert len(limited) <= 4
    assert [one.reason for one in entries if one not in limited] == ["TOO_MANY_CALLS"]
    assert {one.outcome.value for one in entries} == {"denied"}


async def test_questions_take_what_fits_and_the_newest_come_last(tmp_path: Path) -> None:
    await written(tmp_path, 30, SMALL_FILE_BYTES)
    async with log_in(tmp_path, file_bytes_max=SMALL_FILE_BYTES) as log:
        parts = (await log.snapshot()).parts
    newest = [piece for piece in read_newest(parts, AuditQuery(), 4) if piece is not None]
    assert [json.loads(piece.payload)["seq"] for piece in newest] == [27, 28, 29, 30]
    beyond = [piece for piece in read_all(parts, AuditQuery(), after_sequence=25) if piece is not None]
    assert [piece.head.sequence for piece in beyond] == [26, 27, 28, 29, 30]
    assert not [one for one in read_all(parts, AuditQuery(denied_only=True)) if one is not None]
    assert not [one for one in read_all(parts, AuditQuery(actor="eve@n1")) if one is not None]


async def test_a_reader_that_leaves_while_it_is_written_breaks_nothing(tmp_path: Path) -> None:
    async with log_in(tmp_path, disk=SlowDisk()) as log:
        for number in range(3):
            log.note(update(number))
        reader = asyncio.create_task(log.flush())
        await asyncio.sleep(0.05)
        reader.cancel()
        await asyncio.wait([reader])
        for number in range(3, 6):
            log.note(update(number))
        await asyncio.sleep(0.3)
    async with log_in(tmp_path) as log:
        entries = await contents(log)
        assert (await verified(log)).passed
    assert [one.request_id for one in entries if isinstance(one, Entry)] == [f"r{number}" for number in range(6)]


async def test_files_that_cannot_be_let_go_stay_and_nothing_is_written_twice(tmp_path: Path) -> None:
    retention = Retention(days=400, size_bytes=SMALL_FILE_BYTES)
    async with log_in(tmp_path, disk=KeepingDisk(), retention=retention, file_bytes_max=SMALL_FILE_BYTES) as log:
        for number in range(20):
            log.note(update(number))
            await log.flush()
        found = await contents(log)
        assert log.failure == ""
        assert (await verified(log)).passed
    assert [one.request_id for one in found if isinstance(one, Entry)] == [f"r{number}" for number in range(20)]
    assert sum(isinstance(one, Pruned) for one in found) == 1


async def test_no_file_goes_while_the_whole_log_is_read(tmp_path: Path) -> None:
    retention = Retention(days=400, size_bytes=SMALL_FILE_BYTES)
    async with log_in(tmp_path, retention=retention, file_bytes_max=SMALL_FILE_BYTES) as log:
        log.readers = 1
        for number in range(20):
            log.note(update(number))
            await log.flush()
        before = len(AUDIT.paths(tmp_path))
        log.readers = 0
        log.note(update(20))
        await log.flush()
        assert len(AUDIT.paths(tmp_path)) < before


async def test_whoever_is_refused_everything_pushes_nothing_out(tmp_path: Path) -> None:
    async with log_in(tmp_path) as log:
        for number in range(5_000):
            log.note(update(number, error=ForbiddenError("no"), decision=None))
        bob = replace(ANN, actor="bob@n1")
        log.note(update(1, error=ForbiddenError("no"), decision=None)._replace(caller=bob))
    async with log_in(tmp_path) as log:
        entries = [one for one in await contents(log) if isinstance(one, Entry)]
    assert len(entries) < 50
    assert sum(1 + one.repeats for one in entries) == 5_001
    assert any(one.actor == "bob@n1" for one in entries)


async def test_a_clock_that_is_set_back_hides_no_refusal(tmp_path: Path) -> None:
    denied = update(1, error=ForbiddenError("no"), decision=None)
    async with log_in(tmp_path) as log:
        log.note(denied)
        log.note(denied._replace(time_us=denied.time_us - US_PER_DAY))
        assert len(await contents(log)) == 2


async def test_what_waits_for_a_disk_keeps_no_requests(tmp_path: Path) -> None:
    disk = RefusingDisk()
    disk.full = True
    large = update(0)
    large.request.task.description = SECRET * 100
    async with log_in(tmp_path, disk=disk) as log:
        for _ in range(3 * BATCH_NOTES_MAX):
            log.note(large)
        assert sum(isinstance(one, Note) for one in log._waiting) <= BATCH_NOTES_MAX
        disk.full = False
        assert len(await contents(log)) == 3 * BATCH_NOTES_MAX
