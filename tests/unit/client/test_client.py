from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from tests.fakes.board_server import BoardServer, board_server

from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.client import Client, connect
from weftmesh.client.gateway import ClientGateway
from weftmesh.client.limits import RETRY_TIME_MIN_S
from weftmesh.client.requests import as_write, new_request_id
from weftmesh.client.stream import WriteStream
from weftmesh.client.target import open_channel
from weftmesh.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NodeUnreachableError,
    NoQuorumError,
    NotFoundError,
    OverloadedError,
    UnknownOutcomeError,
    WeftmeshError,
)
from weftmesh.runtime.rpc import CollisionError

PROJECT = "projects/PROJ"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[BoardServer]:
    async with board_server(tmp_path / "api.sock") as running:
        running.board.projects[PROJECT] = board_pb2.Project(name=PROJECT, title="Project")
        yield running


@pytest.fixture
async def client(server: BoardServer) -> AsyncIterator[Client]:
    async with connect(str(server.socket)) as connected:
        yield connected


async def refusal(write: Callable[[], Awaitable[object]]) -> WeftmeshError:
    """What a write is refused with; one whose answer comes too late knows less, and is made again."""
    async with asyncio.timeout(60):
        while True:
            try:
                await write()
            except UnknownOutcomeError:
                continue
            except WeftmeshError as error:
                return error
            pytest.fail("it was not refused")


def create(title: str) -> board_pb2.CreateTaskRequest:
    return board_pb2.CreateTaskRequest(parent=PROJECT, task=board_pb2.Task(title=title))


def test_request_ids_are_random_uuids() -> None:
    ids = [new_request_id() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    for text in ids:
        parsed = uuid.UUID(text)
        assert (parsed.version, parsed.variant, str(parsed)) == (4, uuid.RFC_4122, text)


async def test_connect_reports_a_missing_node_at_once(tmp_path: Path) -> None:
    with pytest.raises(NodeUnreachableError, match=r"absent\.sock"):
        async with connect(str(tmp_path / "absent.sock"), timeout_s=30):
            pass


async def test_connect_can_wait_for_a_node_that_is_about_to_start(tmp_path: Path) -> None:
    async def start_late() -> BoardServer:
        await asyncio.sleep(0.2)
        return await BoardServer.start(tmp_path / "late.sock")

    starting = asyncio.create_task(start_late())
    async with connect(str(tmp_path / "late.sock"), timeout_s=30, wait=True) as client:
        assert (await client.mesh.get_status()).node == "fake"
    await (await starting).stop()


async def test_a_connection_that_a_living_node_drops_is_made_again(server: BoardServer, tmp_path: Path) -> None:
    accepted = count()

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
        sink.close()

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if next(accepted) == 0:
            writer.close()
            return
        node_reader, node_writer = await asyncio.open_unix_connection(server.socket)
        await asyncio.gather(copy(reader, node_writer), copy(node_reader, writer))

    async with await asyncio.start_unix_server(hand_on, tmp_path / "front.sock"):
        async with connect(str(tmp_path / "front.sock"), timeout_s=30) as client:
            assert (await client.mesh.get_status()).node == "fake"
        assert next(accepted) > 1


async def test_a_mesh_port_needs_an_identity() -> None:
    with pytest.raises(InvalidInputError, match="Identity"):
        async with connect("127.0.0.1:7450"):
            pass


async def test_a_new_task_gets_its_ids_here_and_the_request_stays_as_it_was(client: Client) -> None:
    request = create("one")
    task = await client.board.create_task(request)
    assert (task.key, len(task.name.rpartition("/")[2])) == ("PROJ-1", 26)
    assert not request.request_id
    assert not request.task_id


async def test_a_write_whose_answer_is_lost_is_applied_once(server: BoardServer, client: Client) -> None:
    server.board.faults.lose_answers.extend([UnknownOutcomeError("lost"), NodeUnreachableError("gone")])
    task = await client.board.create_task(create("one"))
    assert list(server.board.tasks) == [task.name]
    assert len(server.board.seen_request_ids) == 3
    assert len(set(server.board.seen_request_ids)) == 1


async def test_a_write_waits_for_a_quorum_and_says_so_when_none_comes(server: BoardServer, client: Client) -> None:
    server.board.faults.refuse.append(NoQuorumError("alone"))
    assert (await client.board.create_task(create("one"))).key == "PROJ-1"
    server.board.faults.refuse.extend(NoQuorumError("alone") for _ in range(100))
    error = await refusal(lambda: client.board.create_task(create("two"), timeout_s=0.6))
    assert (type(error), str(error)) == (NoQuorumError, "alone")
    assert len(server.board.tasks) == 1


async def test_nothing_is_tried_again_when_the_deadline_would_hide_what_is_known(
    server: BoardServer, client: Client
) -> None:
    async def write() -> None:
        server.board.faults.refuse.append(NoQuorumError("alone"))
        await client.board.create_task(create("one"), timeout_s=RETRY_TIME_MIN_S)

    assert isinstance(await refusal(write), NoQuorumError)
    assert not server.board.tasks


async def test_an_unknown_outcome_says_what_to_retry_with(server: BoardServer, client: Client) -> None:
    server.board.faults.lose_answers.extend(UnknownOutcomeError("lost") for _ in range(50))
    with pytest.raises(UnknownOutcomeError) as caught:
        await client.board.create_task(create("one"), timeout_s=1.5)
    assert {caught.value.metadata["request_id"]} == set(server.board.seen_request_ids)


@pytest.mark.parametrize("lost", [UnknownOutcomeError("lost"), NodeUnreachableError("gone")])
async def test_no_quorum_after_a_lost_answer_is_no_promise_that_nothing_changed(
    server: BoardServer, client: Client, lost: WeftmeshError
) -> None:
    server.board.faults.lose_answers.append(lost)
    calling = asyncio.create_task(client.board.create_task(create("one"), timeout_s=1.5))
    await server.board.until(lambda: bool(server.board.tasks))
    server.board.faults.refuse.extend(NoQuorumError("alone") for _ in range(100))
    with pytest.raises(UnknownOutcomeError):
        await calling
    assert len(server.board.tasks) == 1


async def test_no_quorum_after_a_broken_stream_is_no_promise_either(server: BoardServer, client: Client) -> None:
    server.board.faults.break_stream_after = 1
    calling = asyncio.create_task(client.write(create("one"), timeout_s=1.5))
    await server.board.until(lambda: bool(server.board.tasks))
    server.board.faults.refuse.extend(NoQuorumError("alone") for _ in range(100))
    with pytest.raises(UnknownOutcomeError, match="request id"):
        await calling


async def test_what_cannot_succeed_is_not_tried_again(server: BoardServer, client: Client) -> None:
    server.board.faults.refuse.extend([InvalidInputError("no"), InvalidInputError("again")])
    with pytest.raises(InvalidInputError, match="no"):
        await client.board.create_task(create("one"))
    assert len(server.board.faults.refuse) == 1


async def test_a_write_to_a_node_that_went_away_has_no_known_outcome(server: BoardServer, client: Client) -> None:
    await server.stop()
    with pytest.raises(UnknownOutcomeError) as caught:
        await client.board.create_task(create("one"), timeout_s=0.3)
    assert caught.value.metadata["request_id"]
    with pytest.raises(NodeUnreachableError):
        await client.board.get_task(board_pb2.GetTaskRequest(name="tasks/PROJ-1"), timeout_s=0.3)


async def test_concurrent_writes_share_messages(server: BoardServer, client: Client) -> None:
    answers = await asyncio.gather(*(client.write(create(f"task {n}")) for n in range(300)))
    assert len({answer.key for answer in answers}) == 300
    assert server.board.streams_opened == 1
    assert sum(server.board.batch_sizes) == 300
    assert len(server.board.batch_sizes) <= 3


async def test_concurrent_calls_share_messages_unseen(server: BoardServer, client: Client) -> None:
    tasks = await asyncio.gather(*(client.board.create_task(create(f"task {n}")) for n in range(300)))
    assert [task.title for task in tasks] == [f"task {n}" for n in range(300)]
    assert sum(server.board.batch_sizes) == 300
    assert len(server.board.batch_sizes) <= 3
    project = board_pb2.CreateProjectRequest(project_id="NEW", project=board_pb2.Project(title="New"))
    one, other = await asyncio.gather(client.board.create_task(create("x")), client.board.create_project(project))
    assert (one.title, other.title) == ("x", "New")


async def test_calls_one_after_the_other_use_one_stream(server: BoardServer, client: Client) -> None:
    for number in range(3):
        await client.board.create_task(create(f"task {number}"))
    assert server.board.streams_opened == 1
    assert server.board.batch_sizes == [1, 1, 1]


async def test_what_only_would_be_written_takes_a_call_of_its_own(server: BoardServer, client: Client) -> None:
    request = create("perhaps")
    request.validate_only = True
    assert (await client.board.create_task(request)).title == "perhaps"
    assert not server.board.tasks
    assert server.board.streams_opened == 0


async def test_calls_that_share_fail_each_for_itself(client: Client) -> None:
    answers = await asyncio.gather(
        client.board.create_task(create("one")),
        client.board.claim_task(board_pb2.ClaimTaskRequest(name="tasks/PROJ-99")),
        client.board.create_task(create("two")),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [board_pb2.Task, NotFoundError, board_pb2.Task]


async def test_a_message_has_no_more_writes_than_the_protocol_allows(server: BoardServer, client: Client) -> None:
    await client.write_many([create(f"task {n}") for n in range(2_500)])
    assert max(server.board.batch_sizes) == 1_024


async def test_answers_reach_their_writers(client: Client) -> None:
    answers = await client.write_many([create(f"task {n}") for n in range(20)])
    for number, answer in enumerate(answers):
        assert isinstance(answer, board_pb2.WriteApplied)
        task = await client.board.get_task(board_pb2.GetTaskRequest(name=answer.name))
        assert task.title == f"task {number}"


async def test_a_broken_stream_loses_and_doubles_nothing(server: BoardServer, client: Client) -> None:
    server.board.faults.break_stream_after = 7
    answers = await client.write_many([create(f"task {n}") for n in range(20)])
    assert not [answer for answer in answers if isinstance(answer, WeftmeshError)]
    assert sorted(task.title for task in server.board.tasks.values()) == sorted(f"task {n}" for n in range(20))
    assert server.board.streams_opened == 2


async def test_a_node_that_restarts_gets_the_unanswered_writes_again(server: BoardServer, client: Client) -> None:
    await client.write(create("before"))
    server.board.faults.mute = True
    waiting = asyncio.create_task(client.write(create("during"), timeout_s=20))
    await server.board.until(lambda: len(server.board.tasks) == 2)
    await server.stop()
    server.board.faults.mute = False
    again = await BoardServer.start(server.socket, server.board)
    assert (await waiting).key == "PROJ-2"
    assert len(server.board.tasks) == 2
    await again.stop()


async def test_a_streamed_write_fails_as_a_unary_one(server: BoardServer, client: Client) -> None:
    seen = await client.board.get_task(board_pb2.GetTaskRequest(name=(await client.write(create("one"))).name))
    update = board_pb2.UpdateTaskRequest(base=seen, update_mask=FieldMask(paths=["title"]))
    update.task.CopyFrom(seen)
    update.task.title = "theirs"
    await client.write(update)
    update.task.title = "yours"
    with pytest.raises(CollisionError) as unary:
        await client.board.update_task(update)
    with pytest.raises(CollisionError) as streamed:
        await client.write(update)
    assert streamed.value.details == unary.value.details
    assert isinstance(streamed.value, ConflictError)


async def test_one_failed_write_of_many_is_an_answer(client: Client) -> None:
    lost = board_pb2.ClaimTaskRequest(name="tasks/PROJ-99")
    first, second, third = await client.write_many([create("one"), lost, create("two")])
    assert isinstance(second, NotFoundError)
    assert not isinstance(first, WeftmeshError)
    assert not isinstance(third, WeftmeshError)


async def test_a_streamed_write_is_tried_again_when_the_error_passes(server: BoardServer, client: Client) -> None:
    server.board.faults.refuse.extend([NoQuorumError("alone"), OverloadedError("busy")])
    assert (await client.write(create("one"))).key == "PROJ-1"
    assert len(server.board.tasks) == 1


async def test_a_streamed_write_without_an_answer_ends_at_its_timeout(server: BoardServer, client: Client) -> None:
    server.board.faults.mute = True
    with pytest.raises(UnknownOutcomeError, match="request id"):
        await client.write(create("one"), timeout_s=0.2)


async def until_received(server: BoardServer) -> None:
    """Wait until a streamed write has arrived."""
    async with asyncio.timeout(20):
        while not server.board.batch_sizes:  # noqa: ASYNC110 - the fake wakes nobody
            await asyncio.sleep(0.005)


async def test_a_cancelled_writer_disturbs_nobody(server: BoardServer, client: Client) -> None:
    server.board.faults.mute = True
    cancelled = asyncio.create_task(client.write(create("cancelled")))
    await until_received(server)
    cancelled.cancel()
    server.board.faults.mute = False
    assert (await client.write(create("kept"))).key


async def test_closing_tells_those_who_wait(server: BoardServer) -> None:
    server.board.faults.mute = True
    async with connect(str(server.socket)) as client:
        waiting = asyncio.create_task(client.write(create("one")))
        await until_received(server)
    with pytest.raises(UnknownOutcomeError):
        await waiting


async def test_a_writer_waits_while_too_many_are_unanswered(server: BoardServer) -> None:
    server.board.faults.mute = True
    async with open_channel(str(server.socket), None) as channel:
        open_call = board_pb2_grpc.BoardServiceStub(channel).Write
        stream = WriteStream(open_call, "fake", unanswered_max=2)
        answers = [await stream.submit(as_write(create(f"task {n}")), 20) for n in range(2)]
        with pytest.raises(OverloadedError, match="not sent"):
            await stream.submit(as_write(create("too many")), 0.1)
        answers[0].cancel()
        await stream.submit(as_write(create("room again")), 20)
        await stream.close()


async def test_something_else_than_one_write_is_refused(client: Client) -> None:
    batch = board_pb2.WriteRequest()
    batch.batch.writes.add().create_task.CopyFrom(create("one"))
    with pytest.raises(InvalidInputError):
        await client.write(batch)


async def test_a_watch_goes_on_after_a_break_without_gap_or_duplicate(server: BoardServer, client: Client) -> None:
    await client.write(create("before"))
    server.board.faults.break_watch_after = 2
    revisions = []
    events = client.watch(PROJECT)
    first = asyncio.ensure_future(anext(events))
    await server.board.until(lambda: bool(server.board.watches))
    for number in range(5):
        await client.write(create(f"task {number}"))
    revisions.append((await first).revision)
    while len(revisions) < 5:
        revisions.append((await anext(events)).revision)
    await events.aclose()
    assert revisions == [2, 3, 4, 5, 6]
    assert [watch.resume_revision for watch in server.board.watches] == [1, 3]


async def test_a_listing_that_breaks_off_begins_anew_behind_a_resync(server: BoardServer, client: Client) -> None:
    await client.write_many([create(f"task {n}") for n in range(4)])
    server.board.faults.break_watch_after = 2
    events = client.watch(PROJECT, send_initial_state=True)
    kinds = []
    async for event in events:
        kinds.append(event.WhichOneof("event"))
        if kinds[-1] == "progress":
            break
    await events.aclose()
    assert kinds == ["task", "task", "resync", "task", "task", "task", "task", "progress"]


async def test_a_watch_raises_what_trying_again_cannot_help(server: BoardServer, client: Client) -> None:
    server.board.faults.refuse.append(ForbiddenError("not yours"))
    with pytest.raises(ForbiddenError, match="not yours"):
        await anext(client.watch(PROJECT, 1))


async def test_a_listing_turns_its_pages(client: Client) -> None:
    await client.write_many([create(f"task {n}") for n in range(25)])
    titles = [task.title async for task in client.list_tasks(PROJECT, page_size=10)]
    assert len(titles) == len(set(titles)) == 25


async def test_the_gateway_answers_each_sequence(client: Client) -> None:
    gateway = ClientGateway(client)
    await gateway.create_project("NEW", "New")
    assert [project.name for project in await gateway.list_projects()] == [PROJECT, "projects/NEW"]
    numbers = count(10)
    good = board_pb2.WriteRequest(sequence=next(numbers), create_task=create("one"))
    bad = board_pb2.WriteRequest(sequence=next(numbers), claim_task=board_pb2.ClaimTaskRequest(name="tasks/PROJ-9"))
    answers = {answer.sequence: answer.WhichOneof("result") for answer in await gateway.write([good, bad])}
    assert answers == {10: "applied", 11: "failed"}
    assert [task.title async for task in gateway.list_tasks("PROJ")] == ["one"]
