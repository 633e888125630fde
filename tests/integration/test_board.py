"""One board on three nodes: written anywhere, seen everywhere."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from weftmesh.agent.serving.servers import BOARD_SERVICE
from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.client import Client
from weftmesh.core.errors import ConflictError, InvalidInputError, NotFoundError, PreconditionError
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel
from weftmesh.runtime.identity.founding import identity_store
from weftmesh.runtime.rpc import CollisionError

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

Clients = dict[str, Client]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clients(mesh: DevMesh) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(node.client()) for name, node in mesh.nodes.items()}


async def new_project(clients: Clients, project_id: str, home: str = "mesh", on: str = "node1") -> str:
    project = board_pb2.Project(title=f"about {project_id}", home=home)
    made = await clients[on].board.create_project(
        board_pb2.CreateProjectRequest(project_id=project_id, project=project)
    )
    return made.name


async def new_task(client: Client, parent: str, **fields: object) -> board_pb2.Task:
    task = board_pb2.Task(**({"title": "a task"} | fields))  # type: ignore[arg-type]
    return await client.board.create_task(board_pb2.CreateTaskRequest(parent=parent, task=task))


def update(seen: board_pb2.Task, *, base: bool = True, **fields: object) -> board_pb2.UpdateTaskRequest:
    request = board_pb2.UpdateTaskRequest(task=board_pb2.Task(name=seen.name, **fields))  # type: ignore[arg-type]
    request.update_mask.paths.extend(fields)
    if base:
        request.base.CopyFrom(seen)
    return request


async def test_a_write_on_any_node_is_read_on_every_node(clients: Clients) -> None:
    parent = await new_project(clients, "ANY")
    for writer in clients.values():
        made = await new_task(writer, parent, description="x" * 500, labels=["b", "a"])
        for reader in clients.values():
            got = await reader.board.get_task(board_pb2.GetTaskRequest(name=made.name, min_revision=made.revision))
            assert got == made
            by_key = await reader.board.get_task(board_pb2.GetTaskRequest(name=f"tasks/{made.key}"))
            assert by_key.name == made.name


async def test_a_linearizable_read_sees_every_acknowledged_write(clients: Clients) -> None:
    parent = await new_project(clients, "LIN")
    for number in range(10):
        made = await new_task(clients[f"node{number % 3 + 1}"], parent)
        reader = clients[f"node{(number + 1) % 3 + 1}"]
        request = board_pb2.GetTaskRequest(name=made.name, consistency=board_pb2.READ_CONSISTENCY_LINEARIZABLE)
        assert (await reader.board.get_task(request)).version == 1


async def test_two_nodes_edit_different_fields_and_both_win(clients: Clients) -> None:
    parent = await new_project(clients, "MERGE")
    seen = await new_task(clients["node1"], parent)
    await asyncio.gather(
        clients["node1"].board.update_task(update(seen, assignee="ann", labels=["x"])),
        clients["node2"].board.update_task(update(seen, description="more", labels=["y"])),
    )
    request = board_pb2.GetTaskRequest(name=seen.name, consistency=board_pb2.READ_CONSISTENCY_LINEARIZABLE)
    merged = await clients["node3"].board.get_task(request)
    assert (merged.assignee, merged.description, sorted(merged.labels)) == ("ann", "more", ["x", "y"])


async def test_the_second_writer_of_a_field_is_told_both_values(clients: Clients) -> None:
    parent = await new_project(clients, "COLLIDE")
    seen = await new_task(clients["node1"], parent)
    await clients["node1"].board.update_task(update(seen, title="mine"))
    with pytest.raises(ConflictError) as refused:
        await clients["node2"].board.update_task(update(seen, title="yours", assignee="bob"))
    assert isinstance(refused.value, CollisionError)
    detail = refused.value.details
    assert [(f.path, f.base, f.theirs, f.yours) for f in detail.fields] == [("title", "a task", "mine", "yours")]
    assert list(detail.mergeable_paths) == ["assignee"]


async def test_a_queued_write_leaves_a_conflict_to_resolve(clients: Clients) -> None:
    parent = await new_project(clients, "QUEUED")
    seen = await new_task(clients["node1"], parent)
    await clients["node1"].board.update_task(update(seen, title="mine"))
    queued = update(seen, title="yours", assignee="bob")
    queued.queued = True
    after = await clients["node2"].board.update_task(queued)
    assert (after.title, after.assignee, after.open_conflicts) == ("mine", "bob", 1)
    listed = await clients["node2"].board.list_conflicts(board_pb2.ListConflictsRequest(parent=parent))
    resolve = board_pb2.ResolveConflictRequest(name=listed.conflicts[0].name, take_yours=["title"])
    resolved = await clients["node3"].board.resolve_conflict(resolve)
    assert (resolved.title, resolved.open_conflicts) == ("yours", 0)
    history = await clients["node3"].board.list_task_history(board_pb2.ListTaskHistoryRequest(name=seen.name))
    assert "mine" in [field.loser for change in history.changes for field in change.fields if field.has_loser]


async def test_a_retry_gets_the_first_answer_on_another_node(clients: Clients) -> None:
    parent = await new_project(clients, "RETRY")
    request = board_pb2.CreateTaskRequest(
        parent=parent, task=board_pb2.Task(title="once"), request_id=str(uuid.uuid4())
    )
    first = await clients["node1"].board.create_task(request)
    again = await clients["node2"].board.create_task(request)
    assert again.name == first.name
    request.task.title = "something else"
    with pytest.raises(InvalidInputError):
        await clients["node3"].board.create_task(request)


async def test_one_of_many_claims_wins(clients: Clients) -> None:
    parent = await new_project(clients, "CLAIM")
    seen = await new_task(clients["node1"], parent)
    claims = [
        client.board.claim_task(board_pb2.ClaimTaskRequest(name=seen.name, assignee=f"{node}-{number}"))
        for node, client in clients.items()
        for number in range(5)
    ]
    results = await asyncio.gather(*claims, return_exceptions=True)
    winners = [result for result in results if isinstance(result, board_pb2.Task)]
    assert len(winners) == 1
    assert all(isinstance(r, PreconditionError | ConflictError) for r in results if not isinstance(r, board_pb2.Task))


async def test_every_page_shows_the_same_revision(clients: Clients) -> None:
    parent = await new_project(clients, "PAGES")
    for _ in range(25):
        await new_task(clients["node1"], parent)
    request = board_pb2.ListTasksRequest(parent=parent, page_size=10)
    titles = []
    while True:
        page = await clients["node1"].board.list_tasks(request)
        titles += [task.title for task in page.tasks]
        for task in page.tasks[:2]:
            await clients["node1"].board.update_task(update(task, base=False, title="changed meanwhile"))
        await new_task(clients["node1"], parent, title="made meanwhile")
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert titles == ["a task"] * 25


async def test_a_watcher_that_comes_back_misses_nothing(mesh: DevMesh, clients: Clients) -> None:
    parent = await new_project(clients, "WATCH")
    first = await new_task(clients["node1"], parent)

    async def collect(client: Client, resume: int, count: int) -> list[str]:
        seen = []
        async for event in client.watch(parent, resume):
            if event.WhichOneof("event") == "task":
                seen.append(event.task.task.key)
                if len(seen) == count:
                    break
        return seen

    made = [(await new_task(clients[f"node{n % 3 + 1}"], parent)).key for n in range(30)]
    assert await asyncio.wait_for(collect(clients["node2"], first.revision, 30), 20) == made
    async with mesh.node("node3").client() as fresh:
        assert await asyncio.wait_for(collect(fresh, first.revision, 30), 20) == made


async def test_a_watcher_may_be_ahead_of_the_node_it_comes_to(clients: Clients) -> None:
    """As when a node was away while the project was made: it has to catch up, not to deny the project."""
    await new_project(clients, "BEFORE")
    now = await clients["node2"].board.list_tasks(board_pb2.ListTasksRequest(parent="projects/-", page_size=1))
    events = clients["node2"].watch("projects/AFTER", now.freshness.revision + 1, progress_s=10)
    first = asyncio.ensure_future(anext(events))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(first), 0.5)
    task = await new_task(clients["node1"], await new_project(clients, "AFTER"))
    assert (await asyncio.wait_for(first, 20)).task.task.key == task.key
    await events.aclose()


async def test_a_first_listing_is_closed_by_a_progress(clients: Clients) -> None:
    parent = await new_project(clients, "LISTING")
    keys = [(await new_task(clients["node1"], parent)).key for _ in range(3)]
    kinds = []
    async for event in clients["node1"].watch(parent, send_initial_state=True):
        kinds.append(event.task.task.key if event.HasField("task") else event.WhichOneof("event"))
        if event.HasField("progress"):
            break
    assert kinds == ["project", *keys, "progress"]


async def test_tasks_of_a_node_project_never_leave_it(mesh: DevMesh, clients: Clients) -> None:
    parent = await new_project(clients, "SECRET", home="node:node2", on="node2")
    canary = f"canary-{uuid.uuid4()}"
    made = await new_task(clients["node2"], parent, description=canary)
    assert (await clients["node2"].board.get_task(board_pb2.GetTaskRequest(name=made.name))).description == canary
    request = board_pb2.GetProjectRequest(name=parent, consistency=board_pb2.READ_CONSISTENCY_LINEARIZABLE)
    elsewhere = await clients["node1"].board.get_project(request)
    assert (elsewhere.home, elsewhere.title) == ("node:node2", "")
    with pytest.raises(PreconditionError, match="node2"):
        await clients["node1"].board.get_task(board_pb2.GetTaskRequest(name=made.name))
    for name, node in mesh.nodes.items():
        files = [path for path in (node.directory / "data").rglob("*") if path.is_file()]
        holds = any(canary.encode() in path.read_bytes() for path in files)
        assert holds == (name == "node2"), name


async def test_unknown_things_are_not_found(clients: Clients) -> None:
    with pytest.raises(NotFoundError):
        await clients["node1"].board.get_project(board_pb2.GetProjectRequest(name="projects/NOPE"))
    with pytest.raises(NotFoundError):
        await clients["node1"].board.get_task(board_pb2.GetTaskRequest(name="tasks/ANY-999"))
    with pytest.raises(InvalidInputError):
        await clients["node1"].board.get_task(board_pb2.GetTaskRequest(name="nonsense"))


async def test_validate_only_changes_nothing(clients: Clients) -> None:
    parent = await new_project(clients, "DRY")
    before = (await clients["node1"].mesh.get_status()).revision
    request = board_pb2.CreateTaskRequest(parent=parent, task=board_pb2.Task(title="maybe"), validate_only=True)
    assert (await clients["node1"].board.create_task(request)).title == "maybe"
    request.task.title = ""
    with pytest.raises(InvalidInputError):
        await clients["node1"].board.create_task(request)
    assert (await clients["node1"].mesh.get_status()).revision == before


async def test_health_and_reflection_answer_on_the_local_socket(mesh: DevMesh) -> None:
    async with grpc.aio.insecure_channel(f"unix:{mesh.first.socket}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service=BOARD_SERVICE))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        async for response in reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked):
            names = {service.name for service in response.list_services_response.service}
            assert BOARD_SERVICE in names


async def test_a_node_may_read_over_the_mesh_port_but_not_admit_others(mesh: DevMesh) -> None:
    identity = NodeIdentity(identity_store(mesh.node("node2").directory / "data").load())
    async with open_channel(identity, "node1", mesh.node("node1").listen) as channel:
        await board_pb2_grpc.BoardServiceStub(channel).ListProjects(board_pb2.ListProjectsRequest(), timeout=5)
        stub = mesh_pb2_grpc.MeshServiceStub(channel)
        for call, request in (
            (stub.CreateJoinToken, mesh_pb2.CreateJoinTokenRequest()),
            (stub.RemoveMember, mesh_pb2.RemoveMemberRequest(name="node3")),
            (stub.Leave, mesh_pb2.LeaveRequest()),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(request, timeout=5)
            assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_oversized_and_malformed_messages_are_refused_and_the_node_lives_on(mesh: DevMesh) -> None:
    async with grpc.aio.insecure_channel(f"unix:{mesh.first.socket}") as channel:
        raw: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{BOARD_SERVICE}/CreateTask")
        with pytest.raises(grpc.aio.AioRpcError) as oversized:
            await raw(b"\x0a" * (8 << 20), timeout=10)
        assert oversized.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.aio.AioRpcError) as malformed:
            await raw(b"\xff\xff\xff\xff", timeout=10)
        assert malformed.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    async with mesh.first.client() as client:
        assert (await client.mesh.get_status()).quorum


async def test_the_nodes_end_with_equal_states(clients: Clients) -> None:
    for _ in range(600):
        states = {(s.revision, s.state_hash) for s in [await c.mesh.get_status() for c in clients.values()]}
        if len(states) == 1:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"the nodes differ: {states}")
