"""`weftmesh.board.v1.BoardService`, one typed method a call."""

from __future__ import annotations

from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.client.calls import Calls
from weftmesh.client.coalescing import CoalescingWrites
from weftmesh.client.requests import Write, as_write
from weftmesh.client.stream import WriteStream


class BoardApi:
    """The board's calls with one answer. Each takes and returns the messages of the protocol, and raises WeftmeshError.

    Writes get a request id, when they carry none, and are tried again under it until the timeout: a retry is applied
    once at most. They travel on the write stream. `timeout_s` is for the whole call, retries included; None
    is `limits.CALL_TIMEOUT_S`.
    """

    def __init__(self, calls: Calls, stream: WriteStream) -> None:
        self._calls = calls
        self._writes = CoalescingWrites(calls, stream)
        self._stub = board_pb2_grpc.BoardServiceStub(calls.channel)

    async def get_project(
        self, request: board_pb2.GetProjectRequest, *, timeout_s: float | None = None
    ) -> board_pb2.Project:
        """Return one project."""
        result: board_pb2.Project = await self._calls.read(self._stub.GetProject, request, timeout_s)
        return result

    async def list_projects(
        self, request: board_pb2.ListProjectsRequest, *, timeout_s: float | None = None
    ) -> board_pb2.ListProjectsResponse:
        """One page of projects."""
        result: board_pb2.ListProjectsResponse = await self._calls.read(self._stub.ListProjects, request, timeout_s)
        return result

    async def get_task(self, request: board_pb2.GetTaskRequest, *, timeout_s: float | None = None) -> board_pb2.Task:
        """Return one task."""
        result: board_pb2.Task = await self._calls.read(self._stub.GetTask, request, timeout_s)
        return result

    async def list_tasks(
        self, request: board_pb2.ListTasksRequest, *, timeout_s: float | None = None
    ) -> board_pb2.ListTasksResponse:
        """One page of tasks; `Client.list_tasks` turns the pages."""
        result: board_pb2.ListTasksResponse = await self._calls.read(self._stub.ListTasks, request, timeout_s)
        return result

    async def list_task_history(
        self, request: board_pb2.ListTaskHistoryRequest, *, timeout_s: float | None = None
    ) -> board_pb2.ListTaskHistoryResponse:
        """One page of a task's changes, oldest first."""
        result: board_pb2.ListTaskHistoryResponse = await self._calls.read(
            self._stub.ListTaskHistory, request, timeout_s
        )
        return result

    async def list_conflicts(
        self, request: board_pb2.ListConflictsRequest, *, timeout_s: float | None = None
    ) -> board_pb2.ListConflictsResponse:
        """One page of stored conflicts."""
        result: board_pb2.ListConflictsResponse = await self._calls.read(self._stub.ListConflicts, request, timeout_s)
        return result

    async def create_project(
        self, request: board_pb2.CreateProjectRequest, *, timeout_s: float | None = None
    ) -> board_pb2.Project:
        """Make a project."""
        result: board_pb2.Project = await self._writes.carry(self._stub.CreateProject, request, timeout_s)
        return result

    async def update_project(
        self, request: board_pb2.UpdateProjectRequest, *, timeout_s: float | None = None
    ) -> board_pb2.Project:
        """Change a project's title or merge policy."""
        result: board_pb2.Project = await self._writes.carry(self._stub.UpdateProject, request, timeout_s)
        return result

    async def delete_project(
        self, request: board_pb2.DeleteProjectRequest, *, timeout_s: float | None = None
    ) -> board_pb2.Project:
        """Hide a project and its tasks."""
        result: board_pb2.Project = await self._writes.carry(self._stub.DeleteProject, request, timeout_s)
        return result

    async def undelete_project(
        self, request: board_pb2.UndeleteProjectRequest, *, timeout_s: float | None = None
    ) -> board_pb2.Project:
        """Bring a project and its tasks back."""
        result: board_pb2.Project = await self._writes.carry(self._stub.UndeleteProject, request, timeout_s)
        return result

    async def create_task(
        self, request: board_pb2.CreateTaskRequest, *, timeout_s: float | None = None
    ) -> board_pb2.Task:
        """Make a task; without a task id it gets one here."""
        result: board_pb2.Task = await self._writes.carry(self._stub.CreateTask, request, timeout_s)
        return result

    async def update_task(
        self, request: board_pb2.UpdateTaskRequest, *, timeout_s: float | None = None
    ) -> board_pb2.Task:
        """Change the fields of the mask, merged with what others changed since `base`."""
        result: board_pb2.Task = await self._writes.carry(self._stub.UpdateTask, request, timeout_s)
        return result

    async def claim_task(
        self, request: board_pb2.ClaimTaskRequest, *, timeout_s: float | None = None
    ) -> board_pb2.Task:
        """Take a task."""
        result: board_pb2.Task = await self._writes.carry(self._stub.ClaimTask, request, timeout_s)
        return result

    async def revert_task(
        self, request: board_pb2.RevertTaskRequest, *, timeout_s: float | None = None
    ) -> board_pb2.Task:
        """Set every field back to an earlier version."""
        result: board_pb2.Task = await self._writes.carry(self._stub.RevertTask, request, timeout_s)
        return result

    async def delete_task(
        self, request: board_pb2.DeleteTaskRequest, *, timeout_s: float | None = None
    ) -> board_pb2.Task:
        """Hide a task."""
        result: board_pb2.Task = await self._writes.carry(self._stub.DeleteTask, request, timeout_s)
        return result

    async def undelete_task(
        self, request: board_pb2.UndeleteTaskRequest, *, timeout_s: float | None = None
    ) -> board_pb2.Task:
        """Bring a task back."""
        result: board_pb2.Task = await self._writes.carry(self._stub.UndeleteTask, request, timeout_s)
        return result

    async def resolve_conflict(
        self, request: board_pb2.ResolveConflictRequest, *, timeout_s: float | None = None
    ) -> board_pb2.Task:
        """Settle one stored conflict."""
        result: board_pb2.Task = await self._writes.carry(self._stub.ResolveConflict, request, timeout_s)
        return result

    async def queue_write(
        self, request: Write | board_pb2.WriteRequest, *, timeout_s: float | None = None
    ) -> board_pb2.QueuedWrite:
        """Keep one write on the node until a quorum takes it; durable when this returns.

        After a write that failed with NoQuorumError or UnknownOutcomeError, pass the very request that was sent, with
        its request id: it is applied once at most.
        """
        entry = as_write(request)
        result: board_pb2.QueuedWrite = await self._calls.repeated(self._stub.QueueWrite, entry, timeout_s)
        return result

    async def list_queued_writes(
        self, request: board_pb2.ListQueuedWritesRequest, *, timeout_s: float | None = None
    ) -> board_pb2.ListQueuedWritesResponse:
        """One page of the node's queue, in its order."""
        result: board_pb2.ListQueuedWritesResponse = await self._calls.read(
            self._stub.ListQueuedWrites, request, timeout_s
        )
        return result

    async def retry_queued_write(
        self, request: board_pb2.RetryQueuedWriteRequest, *, timeout_s: float | None = None
    ) -> board_pb2.QueuedWrite:
        """Put a refused write at the end of the queue again."""
        result: board_pb2.QueuedWrite = await self._calls.once(self._stub.RetryQueuedWrite, request, timeout_s)
        return result

    async def discard_queued_write(
        self, request: board_pb2.DiscardQueuedWriteRequest, *, timeout_s: float | None = None
    ) -> board_pb2.QueuedWrite:
        """Take a write out of the queue for good; it is returned."""
        result: board_pb2.QueuedWrite = await self._calls.once(self._stub.DiscardQueuedWrite, request, timeout_s)
        return result
