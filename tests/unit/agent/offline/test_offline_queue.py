"""Writes wait, are seen, and are replayed once and in order; what is refused stays until somebody decides."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.agent.offline.bench import PATIENCE_S, TASK, Bench, create_write, request_bytes, title_write
from tests.unit.core.board.writer import ulid

from weftmesh.agent.offline import queue as queue_module
from weftmesh.agent.offline.entry import Entry
from weftmesh.agent.offline.queue import WriteQueue
from weftmesh.agent.offline.queue_file import FILE_NAME, QueueFile
from weftmesh.agent.raft.log.disk import SystemDisk
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.commands import CreateProject, CreateTask, Header, UpdateTask
from weftmesh.core.board.model import MergePolicy, Status
from weftmesh.core.errors import (
    InvalidInputError,
    NoQuorumError,
    NotFoundError,
    OverloadedError,
    PreconditionError,
    UnknownOutcomeError,
    WeftmeshError,
)
from weftmesh.runtime.rpc import error_from_write_failed

PENDING = board_pb2.QUEUED_WRITE_STATE_PENDING
FAILED = board_pb2.QUEUED_WRITE_STATE_FAILED
APPLIED = board_pb2.QUEUED_WRITE_STATE_APPLIED
REQUEST = str(uuid.UUID(int=7))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / "offline")
    made.engine.quorum = False
    yield made
    await made.stop()


async def test_a_write_waits_and_is_replayed_when_the_quorum_is_back(bench: Bench) -> None:
    queued = await bench.set_title("mine")
    assert (queued.state, queued.actor, queued.task, queued.project) == (
        PENDING,
        "ann@n1",
        f"{TASK}{ulid(1)}",
        "projects/PROJ",
    )
    assert bench.queue.count_of(ulid(1)) == 1
    assert bench.task().title == "as made"

    bench.replay()
    bench.engine.quorum = True
    await bench.drained()

    assert bench.task().title == "mine"
    change = bench.task().history[-1]
    assert (change.actor, change.stamp >> 16) == ("ann@n1", queued.queue_time.ToMilliseconds())
    assert bench.listed() == []
    (applied,) = bench.listed(show_applied=True)
    assert (applied.name, applied.state, applied.applied.revision) == (queued.name, APPLIED, bench.task().revision)


async def test_writes_survive_the_process_and_keep_their_order(bench: Bench) -> None:
    names = [(await bench.put(create_write(f"new {number}", number))).name for number in range(10, 30)]
    names.append((await bench.set_title("changed", f"{TASK}{ulid(10)}")).name)

    await bench.restart()
    assert [write.name for write in bench.listed()] == names
    bench.engine.quorum = True
    await bench.drained()

    assert [bench.task(ulid(number)).key for number in (10, 11, 29)] == ["PROJ-2", "PROJ-3", "PROJ-21"]
    assert bench.task(ulid(10)).title == "changed"
    await bench.restart()
    assert bench.listed() == []


async def test_an_audit_hears_of_what_was_replayed(bench: Bench) -> None:
    heard: list[tuple[int, bytes]] = []
    bench.homes.mesh.writer.on_acknowledged = heard.append
    before = bench.homes.mesh.board.revision
    queued = [await bench.put(create_write(f"new {number}", number)) for number in range(10, 13)]
    bench.engine.quorum = True
    await bench.drained()
    assert [revision for revision, _ in heard] == [before + 1, before + 2, before + 3]
    assert len({request_id for _, request_id in heard}) == len(queued)


async def test_what_is_replayed_and_not_yet_written_down_is_not_applied_twice(bench: Bench) -> None:
    await bench.set_title("mine")
    await bench.put(create_write("new", 20))
    await bench.queue.close()
    kept = (bench.directory / FILE_NAME).read_bytes()
    bench.start()
    bench.engine.quorum = True
    await bench.drained()
    revision = bench.mesh_machine.board.revision
    bench.forget_requests()

    (bench.directory / FILE_NAME).write_bytes(kept)  # as if the process had died before it wrote the outcome down
    await bench.restart()
    assert len(bench.listed()) == 2
    await bench.drained()

    assert bench.mesh_machine.board.revision == revision
    assert bench.task().title == "mine"
    assert [write.applied.revision for write in bench.listed(show_applied=True)] == [3, 4]


@pytest.mark.parametrize("error", [NoQuorumError("away"), UnknownOutcomeError("silence"), OverloadedError("full")])
async def test_an_error_that_passes_keeps_the_write_waiting(bench: Bench, error: WeftmeshError) -> None:
    await bench.set_title("mine")
    bench.engine.fail_before.extend([error, error])
    bench.engine.quorum = True
    bench.replay()
    await bench.until(lambda: not bench.engine.fail_before)
    await bench.drained()
    assert bench.task().title == "mine"


async def test_an_answer_that_is_lost_applies_nothing_twice(bench: Bench) -> None:
    await bench.set_title("mine")
    bench.engine.fail_after.append(UnknownOutcomeError("silence"))
    bench.engine.quorum = True
    await bench.drained()
    assert bench.task().version == 2


async def test_a_collision_is_stored_on_the_task_and_named(bench: Bench) -> None:
    await bench.set_title("mine")
    bench.somebody_sets(title="theirs")
    bench.engine.quorum = True
    await bench.drained()

    assert bench.task().title == "theirs"
    assert [field.yours for conflict in bench.task().conflicts for field in conflict.fields] == ["mine"]
    (applied,) = bench.listed(show_applied=True)
    assert applied.stored_conflict == f"{TASK}{ulid(1)}/conflicts/1"
    assert applied.applied.stored_conflict


async def test_a_refused_write_stays_and_can_be_retried_once_the_cause_is_gone(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "offline", MergePolicy.REJECT)
    bench.engine.quorum = False
    queued = await bench.set_title("mine")
    before = bench.task()
    bench.somebody_sets(title="theirs")
    bench.engine.quorum = True
    await bench.drained()

    (refused,) = bench.listed()
    assert (refused.state, refused.name) == (FAILED, queued.name)
    assert error_from_write_failed(refused.error).reason == "VERSION_CONFLICT"
    await bench.restart()
    assert bench.listed()[0].error == refused.error
    assert bench.queue.refused_count == 1

    bench.somebody_sets(title=before.title)
    caller = bench.call().caller
    again = await bench.offline.retry(board_pb2.RetryQueuedWriteRequest(name=queued.name), caller)
    assert again.state == PENDING
    with pytest.raises(PreconditionError, match="nothing to retry"):
        await bench.offline.retry(board_pb2.RetryQueuedWriteRequest(name=queued.name), caller)
    await bench.drained()
    assert bench.task().title == "mine"
    await bench.stop()


async def test_a_discarded_write_is_gone_and_told(bench: Bench) -> None:
    first = await bench.set_title("mine")
    await bench.set_title("mine too")
    request = board_pb2.DiscardQueuedWriteRequest(name=first.name, validate_only=True)
    caller = bench.call().caller
    await bench.offline.discard(request, caller)
    assert len(bench.listed()) == 2

    request.validate_only = False
    gone = await bench.offline.discard(request, caller)

    assert gone.write.update_task.task.title == "mine"
    await bench.restart()
    assert [write.write.update_task.task.title for write in bench.listed()] == ["mine too"]
    with pytest.raises(NotFoundError):
        await bench.offline.discard(request, caller)


async def test_a_write_on_its_way_is_not_discarded(bench: Bench) -> None:
    queued = await bench.set_title("mine")
    bench.engine.gate.clear()
    bench.engine.quorum = True
    bench.replay()
    await bench.until(lambda: bool(bench.queue.replaying))
    assert bench.listed()[0].state == board_pb2.QUEUED_WRITE_STATE_REPLAYING

    with pytest.raises(PreconditionError, match="on its way"):
        await bench.offline.discard(board_pb2.DiscardQueuedWriteRequest(name=queued.name), bench.call().caller)
    bench.engine.gate.set()
    await bench.drained()


async def test_the_same_request_is_queued_once(bench: Bench) -> None:
    first = await bench.put(create_write("new", 20, request_id=REQUEST))
    again = await bench.put(create_write("new", 20, request_id=REQUEST))
    assert (again.name, len(bench.queue)) == (first.name, 1)
    with pytest.raises(InvalidInputError, match="another queued write"):
        await bench.put(create_write("other", 20, request_id=REQUEST))


async def test_a_write_that_was_applied_when_its_caller_gave_up_is_not_queued(bench: Bench) -> None:
    header = Header("ann@n1", 9, request_bytes(REQUEST))
    bench.mesh_machine.board.apply(CreateTask(header, "PROJ", ulid(20), {"title": "new"}))
    bench.forget_requests()
    answer = await bench.put(create_write("new", 20, request_id=REQUEST))
    assert (answer.state, answer.applied.key, len(bench.queue)) == (APPLIED, "PROJ-2", 0)


async def test_another_write_under_a_request_id_that_was_used_is_refused(bench: Bench) -> None:
    await bench.put(title_write("mine", request_id=REQUEST))
    bench.engine.quorum = True
    await bench.drained()
    with pytest.raises(InvalidInputError, match="was used for another request"):
        await bench.put(title_write("other", request_id=REQUEST))
    assert bench.task().title == "mine"


async def test_a_request_id_that_another_node_used_meanwhile_applies_nothing_and_says_so(bench: Bench) -> None:
    await bench.put(title_write("mine", request_id=REQUEST))
    header = Header("eve@n2", 9, request_bytes(REQUEST), request_digest=1)
    bench.mesh_machine.board.apply(UpdateTask(header, ulid(1), {"description": "theirs"}))
    bench.engine.quorum = True
    await bench.drained()
    (write,) = bench.listed()
    assert write.state == board_pb2.QUEUED_WRITE_STATE_FAILED
    assert "was used for another request" in write.error.message
    assert bench.task().title == "as made"


@pytest.mark.parametrize(
    ("write", "kind", "words"),
    [
        (title_write(""), InvalidInputError, "title"),
        (title_write("x", f"{TASK}{ulid(99)}"), NotFoundError, "knows no task"),
        (create_write("x", 20, "NONE"), NotFoundError, "no project"),
        (board_pb2.WriteRequest(), InvalidInputError, "one write"),
        (board_pb2.WriteRequest(batch=board_pb2.WriteBatch(writes=[title_write("x")])), InvalidInputError, "batch"),
    ],
)
async def test_what_can_never_succeed_is_refused_at_once(
    bench: Bench, write: board_pb2.WriteRequest, kind: type[WeftmeshError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        await bench.put(write)
    assert len(bench.queue) == 0


async def test_only_validating_keeps_nothing(bench: Bench) -> None:
    write = title_write("mine")
    write.update_task.validate_only = True
    assert (await bench.put(write)).name == ""
    assert len(bench.queue) == 0


async def test_a_queued_project_and_its_tasks_can_be_changed_in_the_queue(bench: Bench) -> None:
    create = board_pb2.CreateProjectRequest(project_id="NEW", project=board_pb2.Project(title="new"))
    await bench.put(board_pb2.WriteRequest(create_project=create))
    await bench.put(create_write("first", 20, "NEW"))
    name = f"projects/NEW/tasks/{ulid(20)}"
    await bench.set_title("changed", name)
    claim = board_pb2.ClaimTaskRequest(name=name)
    await bench.put(board_pb2.WriteRequest(claim_task=claim))
    seen = bench.offline.overlay.task(ulid(20))
    assert seen is not None
    message = bench.offline.overlay.message(seen)
    assert (message.name, message.key, message.etag, message.title, message.assignee) == (
        name,
        "",
        "",
        "changed",
        "ann",
    )
    assert message.pending_writes == 3

    bench.engine.quorum = True
    await bench.drained()

    task = bench.task("NEW-1")
    assert (task.title, task.assignee, task.status, task.conflicts) == ("changed", "ann", Status.DOING, ())


async def test_a_task_enters_no_log_when_its_project_turned_out_to_be_elsewhere(bench: Bench) -> None:
    create = board_pb2.CreateProjectRequest(project_id="NEW", project=board_pb2.Project(title="new"))
    await bench.put(board_pb2.WriteRequest(create_project=create))
    await bench.put(create_write("secret", 20, "NEW"))
    bench.mesh_machine.board.apply(CreateProject(Header("eve@n2", 5), "NEW", "", home="node:n2"))

    bench.engine.quorum = True
    await bench.drained()

    reasons = [error_from_write_failed(write.error).reason for write in bench.listed()]
    assert reasons == ["ALREADY_EXISTS", "PROJECT_ELSEWHERE"]
    assert not any(b"secret" in proposal for proposal in bench.engine.proposals)


async def test_a_project_of_this_node_needs_no_queue(bench: Bench) -> None:
    answer = await bench.put(create_write("mine", 20, "MINE"))
    assert (answer.state, answer.applied.key, len(bench.queue)) == (APPLIED, "MINE-1", 0)
    assert bench.engine.proposals == []


async def test_the_queue_has_a_limit(tmp_path: Path) -> None:
    queue = WriteQueue.open(tmp_path, SystemDisk(fsync=False))
    command = CreateTask(Header("ann@n1", 1, b"r" * 16), "PROJ", ulid(1), {"title": "t"})
    huge = Entry(ulid(2), board_pb2.WriteRequest(), command, "PROJ", queue_module.BYTES_MAX + 1)
    with pytest.raises(OverloadedError, match="discard some"):
        await queue.join(huge)
    assert len(queue) == 0
    await queue.close()


async def test_damage_in_the_file_costs_one_write_and_is_told(bench: Bench) -> None:
    for title in ("one", "two", "three"):
        await bench.put(create_write(title, {"one": 10, "two": 20, "three": 30}[title]))
    await bench.queue.close()
    path = bench.directory / FILE_NAME
    data = bytearray(path.read_bytes())
    data[data.index(b"two")] ^= 1
    path.write_bytes(data)

    bench.start()
    listed = bench.offline.list(board_pb2.ListQueuedWritesRequest())

    assert [write.write.create_task.task.title for write in listed.writes] == ["one", "three"]
    assert listed.damaged_parts == 1
    bench.engine.quorum = True
    await bench.drained()
    assert bench.task("PROJ-3").title == "three"


async def test_a_record_of_a_later_version_is_set_aside(bench: Bench) -> None:
    await bench.queue.close()
    file, _ = QueueFile.open(bench.directory, SystemDisk(fsync=False))
    file.append([b"\xfa\x3f\x01x"])
    file.close()
    bench.start()
    assert bench.queue.damaged_parts == 1


async def test_a_failed_disk_takes_nothing_and_the_next_write_begins_with_a_whole_file(tmp_path: Path) -> None:
    class FailingDisk(SystemDisk):
        failing = False

        def sync_data(self, fd: int) -> None:
            if self.failing:
                raise OSError(28, "No space left on device")

    disk = FailingDisk(fsync=False)
    queue = WriteQueue.open(tmp_path, disk)

    def entry(number: int) -> Entry:
        command = CreateTask(Header("ann@n1", 1, number.to_bytes(16, "big")), "PROJ", ulid(number), {"title": "t"})
        return Entry(ulid(number), create_write("t", number), command, "PROJ")

    await queue.join(entry(1))
    disk.failing = True
    with pytest.raises(UnknownOutcomeError, match="No space left"):
        await queue.join(entry(2))
    disk.failing = False
    await queue.join(entry(3))
    await queue.close()

    again = WriteQueue.open(tmp_path, disk)
    assert [one.id for one in again] == [ulid(1), ulid(3)]
    await again.close()


async def test_the_file_shrinks_when_most_of_it_is_history(bench: Bench) -> None:
    bench.engine.quorum = True
    bench.replay()
    for number in range(25):
        text = f"{number} " * 30_000
        update = board_pb2.UpdateTaskRequest(task=board_pb2.Task(name=f"{TASK}{ulid(1)}", description=text[:60_000]))
        await bench.put(board_pb2.WriteRequest(update_task=update))
        await bench.drained()
    assert (bench.directory / FILE_NAME).stat().st_size < 2 * queue_module.GARBAGE_BYTES_MAX


async def test_pages_show_every_write_once(bench: Bench) -> None:
    names = [(await bench.put(create_write("t", number))).name for number in range(10, 17)]
    await bench.set_title("mine")
    found: list[str] = []
    request = board_pb2.ListQueuedWritesRequest(parent="projects/PROJ", page_size=3)
    while True:
        page = bench.offline.list(request)
        found += [write.name for write in page.writes]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert found[:-1] == names
    assert len(bench.listed(parent=f"{TASK}PROJ-1")) == 1
    assert bench.listed(parent="projects/OTHER") == []


async def test_two_retries_at_once_are_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "offline", MergePolicy.REJECT)
    name = (await bench.set_title("mine")).name
    bench.somebody_sets(title="theirs")
    await bench.drained()
    bench.somebody_sets(title="as made")
    request, caller = board_pb2.RetryQueuedWriteRequest(name=name), bench.call().caller
    await asyncio.gather(*(bench.offline.retry(request, caller) for _ in range(3)))
    await bench.drained()
    assert [change.actor for change in bench.task().history].count("ann@n1") == 1
    await bench.stop()


async def test_a_write_that_is_being_discarded_is_not_replayed(tmp_path: Path) -> None:
    class SlowDisk(SystemDisk):
        """Holds every sync while `may_go` is clear."""

        may_go = threading.Event()

        def sync_data(self, fd: int) -> None:
            self.may_go.wait(PATIENCE_S)

    bench = Bench(tmp_path / "offline")
    await bench.queue.close()
    disk = SlowDisk(fsync=False)
    disk.may_go.set()
    bench.start(disk)
    name = (await bench.set_title("mine")).name
    disk.may_go.clear()
    request = board_pb2.DiscardQueuedWriteRequest(name=name)
    leaving = asyncio.ensure_future(bench.offline.discard(request, bench.call().caller))
    await asyncio.sleep(0)
    bench.replay()
    await asyncio.sleep(0.1)
    disk.may_go.set()
    await leaving
    assert (bench.engine.proposals, bench.listed()) == ([], [])
    await bench.stop()


async def test_a_task_has_a_limit_too(bench: Bench) -> None:
    def entry(number: int) -> Entry:
        update = UpdateTask(Header("ann@n1", 1, number.to_bytes(16, "big")), ulid(1), {"title": str(number)})
        return Entry(ulid(number), title_write(str(number)), update, "PROJ")

    for number in range(1_000, 1_000 + queue_module.TASK_WRITES_MAX):
        await bench.queue.join(entry(number))
    with pytest.raises(OverloadedError, match="this task"):
        await bench.queue.join(entry(2_000))
    await bench.put(create_write("another task", 20))


@pytest.mark.parametrize("applied", range(7))
@pytest.mark.parametrize("forgotten", [False, True])
async def test_a_kill_after_any_write_changes_nothing_of_what_comes_out(
    bench: Bench, applied: int, forgotten: bool
) -> None:
    await bench.set_title("one")
    await bench.put(create_write("new", 20))
    await bench.set_title("new, changed", f"{TASK}{ulid(20)}")
    await bench.set_title("two")
    delete = board_pb2.DeleteTaskRequest(name=f"{TASK}{ulid(20)}")
    await bench.put(board_pb2.WriteRequest(delete_task=delete))
    await bench.put(board_pb2.WriteRequest(claim_task=board_pb2.ClaimTaskRequest(name=f"{TASK}{ulid(1)}")))
    # The log took the first ones, and the node died before it wrote that down.
    for entry in list(bench.queue)[:applied]:
        assert bench.mesh_machine.board.apply(entry.command)[0].ok
    if forgotten:
        bench.forget_requests()
    await bench.restart()
    bench.engine.quorum = True
    await bench.drained()

    assert bench.listed() == []
    assert [change.verb.name for change in bench.task().history] == ["CREATE", "UPDATE", "UPDATE", "CLAIM"]
    assert [change.verb.name for change in bench.task(ulid(20)).history] == ["CREATE", "UPDATE", "DELETE"]
    assert (bench.task().title, bench.task(ulid(20)).title, bench.task().conflicts) == ("two", "new, changed", ())
