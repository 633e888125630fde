"""A board behind the real protocol on a Unix socket, in memory and without Raft, which fails when a test tells it to.

Knows tasks, projects, request ids, collisions on one field, paging, the write stream and watches; nothing of filters,
offline conflicts or revisions in the past.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.core.errors import AlreadyExistsError, NodeUnreachableError, NotFoundError, WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc, trust_pb2, trust_pb2_grpc
from weftmesh.runtime.rpc import CollisionError, ErrorInterceptor, server_options, to_write_failed

ACTOR = "ann@fake"


@dataclass
class Faults:
    """What goes wrong next."""

    refuse: deque[WeftmeshError] = field(default_factory=deque)
    """Raised by the next calls and streamed writes, one each, before anything happens."""
    lose_answers: deque[WeftmeshError] = field(default_factory=deque)
    """Told to the next writers after their writes were applied."""
    break_stream_after: int | None = None
    """Ends the write stream once, without answers, when this many of its writes have been applied."""
    break_watch_after: int | None = None
    """Ends a watch once, after this many events."""
    stale_reads: dict[str, board_pb2.Task] = field(default_factory=dict)
    """By key: what a reader gets in place of the task as it is."""
    mute: bool = False
    """Writes on the stream are taken and never answered."""


class FakeBoard(board_pb2_grpc.BoardServiceServicer):  # type: ignore[misc]  # generated, untyped
    """See the module."""

    def __init__(self) -> None:
        self.projects: dict[str, board_pb2.Project] = {}
        self.tasks: dict[str, board_pb2.Task] = {}
        self.changes: dict[str, list[board_pb2.Change]] = {}
        self.events: list[board_pb2.WatchEvent] = []
        self.queued: dict[str, board_pb2.QueuedWrite] = {}
        """By request id."""
        self.revision = 0
        self.faults = Faults()
        self.batch_sizes: list[int] = []
        self.seen_request_ids: list[str] = []
        self.streams_opened = 0
        self.watches: list[board_pb2.WatchRequest] = []
        self._answers: dict[str, Message] = {}
        self._changed = asyncio.Condition()

    async def apply(self, request: Any) -> Any:
        """One write, once for each request id."""
        if self.faults.refuse:
            raise self.faults.refuse.popleft()
        self.seen_request_ids.append(request.request_id)
        if request.request_id in self._answers:
            return self._answers[request.request_id]
        verb = type(request).__name__.removesuffix("Request")
        answer = getattr(self, f"_{verb}")(request)
        if request.validate_only:
            return answer
        self.revision += 1
        answer.revision = self.revision
        self._store(answer)
        self._answers[request.request_id] = type(answer).FromString(answer.SerializeToString())
        async with self._changed:
            self._changed.notify_all()
        return self._answers[request.request_id]

    async def _answered(self, request: Any) -> Any:
        answer = await self.apply(request)
        if self.faults.lose_answers:
            raise self.faults.lose_answers.popleft()
        return answer

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once something has happened that makes `condition` true."""
        async with self._changed:
            await self._changed.wait_for(condition)

    def _store(self, answer: Any) -> None:
        event = board_pb2.WatchEvent(revision=self.revision)
        if isinstance(answer, board_pb2.Task):
            answer.version += 1
            answer.etag = f"v{answer.version}"
            answer.updated_by = ACTOR
            self.tasks[answer.name] = answer
            change = board_pb2.Change(version=answer.version, revision=self.revision, verb="update", actor=ACTOR)
            self.changes.setdefault(answer.name, []).append(change)
            event.task.task.CopyFrom(answer)
            event.task.kind = board_pb2.EVENT_KIND_UPDATED if answer.version > 1 else board_pb2.EVENT_KIND_CREATED
        else:
            self.projects[answer.name] = answer
            event.project.project.CopyFrom(answer)
            event.project.kind = board_pb2.EVENT_KIND_CREATED
        self.events.append(event)

    def find(self, name: str) -> board_pb2.Task:
        """A copy of the task with this name or key."""
        for task in self.tasks.values():
            if name in (task.name, f"{task.name.rpartition('/')[0]}/{task.key}", f"tasks/{task.key}"):
                copy = board_pb2.Task()
                copy.CopyFrom(task)
                return copy
        raise NotFoundError(f"there is no task {name}")

    def _project(self, name: str) -> board_pb2.Project:
        if name not in self.projects:
            raise NotFoundError(f"there is no project {name}")
        copy = board_pb2.Project()
        copy.CopyFrom(self.projects[name])
        return copy

    def _CreateProject(self, request: board_pb2.CreateProjectRequest) -> board_pb2.Project:  # noqa: N802
        name = f"projects/{request.project_id}"
        if name in self.projects:
            raise AlreadyExistsError(f"{name} is there already")
        project = board_pb2.Project(etag="v1", name=name)
        project.MergeFrom(request.project)
        return project

    def _UpdateProject(self, request: board_pb2.UpdateProjectRequest) -> board_pb2.Project:  # noqa: N802
        project = self._project(request.project.name)
        for path in request.update_mask.paths:
            setattr(project, path, getattr(request.project, path))
        return project

    def _DeleteProject(self, request: board_pb2.DeleteProjectRequest) -> board_pb2.Project:  # noqa: N802
        project = self._project(request.name)
        project.delete_time.GetCurrentTime()
        return project

    def _UndeleteProject(self, request: board_pb2.UndeleteProjectRequest) -> board_pb2.Project:  # noqa: N802
        project = self._project(request.name)
        project.ClearField("delete_time")
        return project

    def _CreateTask(self, request: board_pb2.CreateTaskRequest) -> board_pb2.Task:  # noqa: N802
        self._project(request.parent)
        task = board_pb2.Task(status=board_pb2.TASK_STATUS_TODO)
        task.MergeFrom(request.task)
        task.name = f"{request.parent}/tasks/{request.task_id}"
        task.key = f"{request.parent.rpartition('/')[2]}-{len(self.tasks) + 1}"
        return task

    def _UpdateTask(self, request: board_pb2.UpdateTaskRequest) -> board_pb2.Task:  # noqa: N802
        task = self.find(request.task.name)
        detail = board_pb2.ConflictDetail(name=task.name, current_etag=task.etag)
        for path in request.update_mask.paths:
            head = path.partition(".")[0]
            base, theirs, yours = (getattr(each, head) for each in (request.base, task, request.task))
            if request.HasField("base") and theirs not in (base, yours):
                values = {"base": str(base), "yours": str(yours), "theirs": str(theirs)}
                detail.fields.add(path=path, theirs_actor="bob@fake", **values)
            task.ClearField(head)
            part = board_pb2.Task()
            part.CopyFrom(request.task)
            for other, _ in part.ListFields():
                if other.name != head:
                    part.ClearField(other.name)
            task.MergeFrom(part)
        if detail.fields:
            raise CollisionError(f"others changed {task.key}", detail)
        return task

    def _ClaimTask(self, request: board_pb2.ClaimTaskRequest) -> board_pb2.Task:  # noqa: N802
        task = self.find(request.name)
        task.assignee = request.assignee or "ann"
        task.status = board_pb2.TASK_STATUS_DOING
        return task

    def _RevertTask(self, request: board_pb2.RevertTaskRequest) -> board_pb2.Task:  # noqa: N802
        return self.find(request.name)

    def _DeleteTask(self, request: board_pb2.DeleteTaskRequest) -> board_pb2.Task:  # noqa: N802
        task = self.find(request.name)
        task.delete_time.GetCurrentTime()
        return task

    def _UndeleteTask(self, request: board_pb2.UndeleteTaskRequest) -> board_pb2.Task:  # noqa: N802
        task = self.find(request.name)
        task.ClearField("delete_time")
        return task

    def _ResolveConflict(self, request: board_pb2.ResolveConflictRequest) -> board_pb2.Task:  # noqa: N802
        return self.find(request.name.partition("/conflicts/")[0])

    def freshness(self) -> board_pb2.Freshness:
        """Always fresh."""
        return board_pb2.Freshness(revision=self.revision, leader="fake", quorum=True)

    async def GetTask(self, request: board_pb2.GetTaskRequest, context: Any) -> board_pb2.Task:  # noqa: N802
        if self.faults.refuse:
            raise self.faults.refuse.popleft()
        task = self.find(request.name)
        return self.faults.stale_reads.get(task.key, task)

    async def GetProject(self, request: board_pb2.GetProjectRequest, context: Any) -> board_pb2.Project:  # noqa: N802
        return self._project(request.name)

    async def ListProjects(self, request: Any, context: Any) -> board_pb2.ListProjectsResponse:  # noqa: N802
        return board_pb2.ListProjectsResponse(projects=self.projects.values(), freshness=self.freshness())

    async def QueueWrite(self, request: board_pb2.WriteRequest, context: Any) -> board_pb2.QueuedWrite:  # noqa: N802
        write: Any = getattr(request, str(request.WhichOneof("write")))
        queued = board_pb2.QueuedWrite(
            name=f"queuedWrites/{len(self.queued) + 1:026}",
            write=request,
            actor=ACTOR,
            state=board_pb2.QUEUED_WRITE_STATE_PENDING,
        )
        if isinstance(write, board_pb2.CreateTaskRequest):
            queued.task, queued.project = f"{write.parent}/tasks/{write.task_id}", write.parent
        elif isinstance(write, board_pb2.CreateProjectRequest):
            queued.project = f"projects/{write.project_id}"
        elif isinstance(write, board_pb2.UpdateProjectRequest):
            queued.project = write.project.name
        elif isinstance(write, board_pb2.DeleteProjectRequest | board_pb2.UndeleteProjectRequest):
            queued.project = write.name
        else:
            queued.task = self.find(write.task.name if request.HasField("update_task") else write.name).name
            self.tasks[queued.task].pending_writes += 1
        return self.queued.setdefault(write.request_id, queued)

    async def ListQueuedWrites(self, request: Any, context: Any) -> board_pb2.ListQueuedWritesResponse:  # noqa: N802
        writes = [write for write in self.queued.values() if request.parent in ("", write.task, write.project)]
        return board_pb2.ListQueuedWritesResponse(writes=writes, freshness=self.freshness())

    async def RetryQueuedWrite(self, request: Any, context: Any) -> board_pb2.QueuedWrite:  # noqa: N802
        return self._queued(request.name)

    async def DiscardQueuedWrite(self, request: Any, context: Any) -> board_pb2.QueuedWrite:  # noqa: N802
        gone = self._queued(request.name)
        if not request.validate_only:
            self.queued = {key: write for key, write in self.queued.items() if write is not gone}
        return gone

    def _queued(self, name: str) -> board_pb2.QueuedWrite:
        for write in self.queued.values():
            if write.name == name:
                return write
        raise NotFoundError(f"{name} is not queued")

    async def ListTasks(self, request: board_pb2.ListTasksRequest, context: Any) -> board_pb2.ListTasksResponse:  # noqa: N802
        parent = "" if request.parent == "projects/-" else f"{request.parent}/"
        tasks = [task for task in self.tasks.values() if task.name.startswith(parent)]
        begin = int(request.page_token or 0)
        end = begin + (request.page_size or 100)
        token = str(end) if end < len(tasks) else ""
        return board_pb2.ListTasksResponse(tasks=tasks[begin:end], next_page_token=token, freshness=self.freshness())

    async def ListTaskHistory(self, request: Any, context: Any) -> board_pb2.ListTaskHistoryResponse:  # noqa: N802
        name = self.find(request.name).name
        return board_pb2.ListTaskHistoryResponse(changes=self.changes[name], freshness=self.freshness())

    async def ListConflicts(self, request: Any, context: Any) -> board_pb2.ListConflictsResponse:  # noqa: N802
        return board_pb2.ListConflictsResponse(freshness=self.freshness())

    async def Write(self, requests: Any, context: Any) -> AsyncIterator[board_pb2.WriteResponse]:  # noqa: N802
        self.streams_opened += 1
        async for message in requests:
            entries = message.batch.writes if message.HasField("batch") else [message]
            self.batch_sizes.append(len(entries))
            response = board_pb2.WriteResponse()
            for entry in entries:
                response.batch.responses.append(await self._one(entry))
                self._maybe_break_stream()
            if not self.faults.mute:
                yield response

    async def _one(self, entry: board_pb2.WriteRequest) -> board_pb2.WriteResponse:
        answer = board_pb2.WriteResponse(sequence=entry.sequence)
        try:
            done = await self._answered(getattr(entry, str(entry.WhichOneof("write"))))
        except WeftmeshError as error:
            answer.failed.CopyFrom(to_write_failed(error))
        else:
            key = done.key if isinstance(done, board_pb2.Task) else ""
            applied = board_pb2.WriteApplied(revision=done.revision, name=done.name, key=key, etag=done.etag)
            if entry.return_resource:
                (applied.task if isinstance(done, board_pb2.Task) else applied.project).CopyFrom(done)
            answer.applied.CopyFrom(applied)
        return answer

    def _maybe_break_stream(self) -> None:
        if self.faults.break_stream_after is not None:
            self.faults.break_stream_after -= 1
            if self.faults.break_stream_after <= 0:
                self.faults.break_stream_after = None
                raise NodeUnreachableError("the connection broke")

    async def Watch(self, request: board_pb2.WatchRequest, context: Any) -> AsyncIterator[board_pb2.WatchResponse]:  # noqa: N802
        self.watches.append(request)
        async with self._changed:
            self._changed.notify_all()
        if self.faults.refuse:
            raise self.faults.refuse.popleft()
        seen = request.resume_revision or self.revision
        if request.send_initial_state:
            listed = [board_pb2.WatchEvent(revision=task.revision) for task in self.tasks.values()]
            for event, task in zip(listed, self.tasks.values(), strict=True):
                event.task.task.CopyFrom(task)
                event.task.kind = board_pb2.EVENT_KIND_INITIAL
                self._maybe_break_watch()
                yield board_pb2.WatchResponse(events=[event])
            progress = board_pb2.WatchEvent(revision=self.revision)
            progress.progress.freshness.CopyFrom(self.freshness())
            yield board_pb2.WatchResponse(events=[progress])
            seen = self.revision
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self.revision > seen)  # noqa: B023, awaited here
            for event in self.events[seen:]:
                self._maybe_break_watch()
                yield board_pb2.WatchResponse(events=[event])
                seen = event.revision

    def _maybe_break_watch(self) -> None:
        if self.faults.break_watch_after is not None:
            self.faults.break_watch_after -= 1
            if self.faults.break_watch_after < 0:
                self.faults.break_watch_after = None
                raise NodeUnreachableError("the connection broke")


def _write_method(verb: str) -> Any:
    async def method(self: FakeBoard, request: Any, context: Any) -> Any:
        return await self._answered(request)

    method.__name__ = verb
    return method


for _verb in [name[1:] for name in vars(FakeBoard) if name.startswith("_") and name[1:2].isupper()]:
    setattr(FakeBoard, _verb, _write_method(_verb))


class FakeMesh(mesh_pb2_grpc.MeshServiceServicer):  # type: ignore[misc]  # generated, untyped
    """One healthy node and one member that is away."""

    def __init__(self, board: FakeBoard) -> None:
        self._board = board
        self.members = [
            mesh_pb2.Member(name="fake", address="127.0.0.1:7450", connected=True, leader=True, self=True),
            mesh_pb2.Member(name="other", address="127.0.0.1:7460", role=mesh_pb2.MEMBER_ROLE_OBSERVER),
        ]

    async def GetStatus(self, request: Any, context: Any) -> mesh_pb2.NodeStatus:  # noqa: N802
        status = mesh_pb2.NodeStatus(
            node="fake",
            cluster="test",
            version="0",
            role=mesh_pb2.ROLE_LEADER,
            leader="fake",
            quorum=True,
            revision=self._board.revision,
            state_hash="00ff",
            fsync=True,
            members=self.members,
            queued_writes=len(self._board.queued),
        )
        status.sync_latency.samples = 10
        status.sync_latency.promise_kept = True
        status.sync_latency.p99.FromMicroseconds(1_500)
        return status

    async def ListMembers(self, request: Any, context: Any) -> mesh_pb2.ListMembersResponse:  # noqa: N802
        return mesh_pb2.ListMembersResponse(members=self.members)

    async def CreateJoinToken(self, request: mesh_pb2.CreateJoinTokenRequest, context: Any) -> mesh_pb2.JoinToken:  # noqa: N802
        line = "" if request.validate_only else "weftmesh join 127.0.0.1:7451 wmj1.a.b.c"
        return mesh_pb2.JoinToken(token_id="abc", join_command=line, state="live", node_name=request.node_name)

    async def ListJoinTokens(self, request: Any, context: Any) -> mesh_pb2.ListJoinTokensResponse:  # noqa: N802
        return mesh_pb2.ListJoinTokensResponse(tokens=[mesh_pb2.JoinToken(token_id="abc", state="live")])

    async def RevokeJoinToken(self, request: mesh_pb2.RevokeJoinTokenRequest, context: Any) -> mesh_pb2.JoinToken:  # noqa: N802
        return mesh_pb2.JoinToken(token_id=request.token_id, state="revoked")

    async def RemoveMember(self, request: mesh_pb2.RemoveMemberRequest, context: Any) -> mesh_pb2.Member:  # noqa: N802
        return self._named(request.name)

    def _named(self, name: str) -> mesh_pb2.Member:
        for member in self.members:
            if member.name == name:
                return member
        raise NotFoundError(f"{name} is no member")

    async def PromoteMember(self, request: mesh_pb2.PromoteMemberRequest, context: Any) -> mesh_pb2.Member:  # noqa: N802
        return self._named(request.name)

    async def DemoteMember(self, request: mesh_pb2.DemoteMemberRequest, context: Any) -> mesh_pb2.Member:  # noqa: N802
        return self._named(request.name)

    async def Leave(self, request: mesh_pb2.LeaveRequest, context: Any) -> mesh_pb2.Member:  # noqa: N802
        return self.members[0]


class FakeTrust(trust_pb2_grpc.TrustServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Says what other members answer to this node."""

    def __init__(self) -> None:
        self.refusals: dict[str, WeftmeshError] = {}
        """By member; the others take this node for what it is."""

    async def GetCertificates(  # noqa: N802
        self, request: trust_pb2.GetCertificatesRequest, context: Any
    ) -> trust_pb2.CertificatesView:
        if request.node in self.refusals:
            raise self.refusals[request.node]
        return trust_pb2.CertificatesView(own=trust_pb2.ShownCertificate(node=request.node or "fake"))


@dataclass
class BoardServer:
    """A running fake."""

    socket: Path
    board: FakeBoard
    mesh: FakeMesh
    trust: FakeTrust
    server: grpc.aio.Server

    @classmethod
    async def start(cls, socket: Path, board: FakeBoard | None = None) -> Self:
        """Serve on `socket`."""
        board = board or FakeBoard()
        server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=server_options())
        board_pb2_grpc.add_BoardServiceServicer_to_server(board, server)
        mesh, trust = FakeMesh(board), FakeTrust()
        mesh_pb2_grpc.add_MeshServiceServicer_to_server(mesh, server)
        trust_pb2_grpc.add_TrustServiceServicer_to_server(trust, server)
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
        return cls(socket, board, mesh, trust, server)

    async def stop(self) -> None:
        """Drop every connection."""
        await self.server.stop(None)


@asynccontextmanager
async def board_server(socket: Path) -> AsyncIterator[BoardServer]:
    """A fake for as long as the block runs."""
    running = await BoardServer.start(socket)
    try:
        yield running
    finally:
        await running.stop()
