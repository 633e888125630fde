"""The BoardService: reads from this node's boards, writes through the log, and watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final

import grpc

from weftmesh.agent.access.authorizing import Sight
from weftmesh.agent.access.supervision import Supervision
from weftmesh.agent.board.homes import Home, Homes
from weftmesh.agent.board.paging import TaskQuery, cursor, next_token, page_size, that_fit
from weftmesh.agent.board.watching import Watching, WatchPlan
from weftmesh.agent.board.writes import BoardWrites
from weftmesh.agent.offline.service import OfflineWrites
from weftmesh.agent.offline.servicer import QueuedWritesCalls
from weftmesh.agent.serving.callers import Callers
from weftmesh.agent.serving.requests import DEADLINE_DEFAULT_S, Call, await_freshness, begin_call, freshness_of
from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.core.board.filter import parse_filter
from weftmesh.core.board.model import Project, Task
from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.board.reading import Cursor, Predicate
from weftmesh.core.errors import InvalidInputError, NotFoundError, OutOfRangeError, OverloadedError
from weftmesh.core.ids import parse_project_name, parse_task_name, project_name
from weftmesh.runtime.wire.resources import change_message, conflict_message, project_message, task_message

PROGRESS_DEFAULT_S: Final = 10.0
PROGRESS_MIN_S: Final = 0.1
PROGRESS_MAX_S: Final = 60.0
BEHIND_S: Final = 60.0
"""How long a watch waits for this node to get to know its project; the client library gives up by then as well."""
ALL_PROJECTS: Final = "-"
PROJECT_WRITES: Final = (
    board_pb2.CreateProjectRequest,
    board_pb2.UpdateProjectRequest,
    board_pb2.DeleteProjectRequest,
    board_pb2.UndeleteProjectRequest,
)

Context = grpc.aio.ServicerContext[Any, Any]
Charging = Callable[[Context], Callable[[], None]]


class BoardServicer(QueuedWritesCalls, board_pb2_grpc.BoardServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.board.v1.BoardService; the protos document each method.

    Attributes:
        watchers: connected now.
        watchers_max: further ones are refused; may be changed at any time.
        charging: of a stream's context, what is called for each of its writes and raises OverloadedError to refuse it.
    """

    def __init__(
        self,
        homes: Homes,
        writes: BoardWrites,
        offline: OfflineWrites,
        callers: Callers,
        supervision: Supervision,
        watchers_max: int,
    ) -> None:
        self._homes = homes
        self._writes = writes
        self._offline = offline
        self._callers = callers
        self._supervision = supervision
        self.watchers_max = watchers_max
        self.charging: Charging = _free
        self.watchers = 0

    async def _write_project(self, request: Any, context: Context) -> board_pb2.Project:
        return self._written_project(request, *await self._writes.write(request, begin_call(self._callers, context)))

    def _written_project(self, request: Any, home: Home, outcome: Outcome) -> board_pb2.Project:
        """The project as the write left it."""
        project = home.board.project(outcome.subject)
        if project is None:  # validate_only of a project that does not exist yet
            request.project.name = project_name(request.project_id)
            return request.project  # type: ignore[no-any-return]
        return self._project(project)

    CreateProject = UpdateProject = DeleteProject = UndeleteProject = _write_project

    async def _write_task(self, request: Any, context: Context) -> board_pb2.Task:
        return self._written_task(request, *await self._writes.write(request, begin_call(self._callers, context)))

    def _written_task(self, request: Any, home: Home, outcome: Outcome) -> board_pb2.Task:
        """The task as the write left it."""
        task = home.board.find_task(outcome.subject)
        if task is None:  # validate_only of a task that does not exist yet
            return request.task  # type: ignore[no-any-return]
        return self._task(home, home.board.task_at(task, outcome.revision) or task)

    CreateTask = UpdateTask = ClaimTask = RevertTask = DeleteTask = UndeleteTask = ResolveConflict = _write_task

    async def GetProject(self, request: board_pb2.GetProjectRequest, context: Context) -> board_pb2.Project:  # noqa: N802
        """See board.proto."""
        call = begin_call(self._callers, context)
        project_id = parse_project_name(request.name)
        await await_freshness(self._homes.mesh, call, request.consistency, request.min_revision)
        project = self._homes.find_project(project_id)
        if project is None:
            raise NotFoundError(f"there is no project {project_id}; see `weftmesh project ls`")
        return self._project(project)

    async def ListProjects(  # noqa: N802
        self, request: board_pb2.ListProjectsRequest, context: Context
    ) -> board_pb2.ListProjectsResponse:
        """See board.proto."""
        call = begin_call(self._callers, context)
        home = self._homes.mesh
        await await_freshness(home, call, request.consistency, 0)
        bound = str(request.show_deleted)
        page = home.board.list_projects(
            after=cursor(request.page_token, "ListProjects", "", bound),
            limit=page_size(request.page_size),
            show_deleted=request.show_deleted,
        )
        visible = self._homes.visible_projects(page.projects, show_deleted=request.show_deleted)
        sight = self._supervision.sight(context)
        if not sight.everything:
            visible = [project for project in visible if sight.sees(project.id)]
        return board_pb2.ListProjectsResponse(
            projects=[self._project(project) for project in visible],
            next_page_token=next_token("ListProjects", "", bound, page.next_cursor),
            freshness=_freshness_at(home, page.revision),
        )

    async def GetTask(self, request: board_pb2.GetTaskRequest, context: Context) -> board_pb2.Task:  # noqa: N802
        """See board.proto."""
        call = begin_call(self._callers, context)
        if request.with_pending and (waiting := await self._with_pending(request, call)) is not None:
            return waiting
        home, task = await self._find_task(request.name, call, request.consistency, request.min_revision)
        if request.at_revision:
            _check_revision(home, request.at_revision)
            past = home.board.task_at(task, request.at_revision)
            if past is None:
                raise NotFoundError(f"{task.key} did not exist yet at revision {request.at_revision}")
            task = past
        return self._task(home, task)

    async def ListTasks(self, request: board_pb2.ListTasksRequest, context: Context) -> board_pb2.ListTasksResponse:  # noqa: N802
        """See board.proto."""
        call = begin_call(self._callers, context)
        home, project_id = self._parent(request.parent)
        await await_freshness(home, call, request.consistency, request.min_revision)
        bound = f"{request.filter}\0{request.show_deleted}"
        query = TaskQuery(
            project_id,
            self._predicate(request, project_id, self._supervision.sight(context)),
            page_size(request.page_size),
            request.at_revision,
            request.show_deleted,
        )
        tasks, follow, revision = await query.page(home, cursor(request.page_token, "ListTasks", request.parent, bound))
        shown = that_fit(self._task(home, task) for task in tasks)
        if len(shown) < len(tasks):
            follow = Cursor(revision, tasks[len(shown) - 1].created_revision)
        return board_pb2.ListTasksResponse(
            tasks=shown,
            next_page_token=next_token("ListTasks", request.parent, bound, follow),
            freshness=_freshness_at(home, revision),
        )

    async def ListTaskHistory(  # noqa: N802
        self, request: board_pb2.ListTaskHistoryRequest, context: Context
    ) -> board_pb2.ListTaskHistoryResponse:
        """See board.proto."""
        call = begin_call(self._callers, context)
        home, task = await self._find_task(request.name, call, board_pb2.READ_CONSISTENCY_LOCAL, 0)
        after = cursor(request.page_token, "ListTaskHistory", task.id, "")
        start = after.number if after else 0
        asked = task.history[start : start + page_size(request.page_size)]
        changes = that_fit(change_message(change) for change in asked)
        end = start + len(changes)
        follow = Cursor(home.board.revision, 0, end) if end < len(task.history) else None
        return board_pb2.ListTaskHistoryResponse(
            changes=changes,
            next_page_token=next_token("ListTaskHistory", task.id, "", follow),
            freshness=freshness_of(home),
        )

    async def ListConflicts(  # noqa: N802
        self, request: board_pb2.ListConflictsRequest, context: Context
    ) -> board_pb2.ListConflictsResponse:
        """See board.proto."""
        call = begin_call(self._callers, context)
        task_id = None
        if "/tasks/" in request.parent or request.parent.startswith("tasks/"):
            home, task = await self._find_task(request.parent, call, board_pb2.READ_CONSISTENCY_LOCAL, 0)
            project_id, task_id = None, task.id
        else:
            home, project_id = self._parent(request.parent)
        page = home.board.list_conflicts(
            project_id,
            task_id,
            after=cursor(request.page_token, "ListConflicts", request.parent, ""),
            limit=page_size(request.page_size),
        )
        sight = self._supervision.sight(context)
        seen = [one for one in page.conflicts if project_id or task_id or sight.sees(one[0].project_id)]
        shown = that_fit(conflict_message(task, conflict) for task, conflict in seen)
        follow = page.next_cursor
        if len(shown) < len(seen):
            last_task, last = seen[len(shown) - 1]
            follow = Cursor(page.revision, last_task.created_revision, last.number)
        return board_pb2.ListConflictsResponse(
            conflicts=shown,
            next_page_token=next_token("ListConflicts", request.parent, "", follow),
            freshness=freshness_of(home),
        )

    async def Write(  # noqa: N802
        self, request_iterator: AsyncIterator[board_pb2.WriteRequest], context: Context
    ) -> AsyncIterator[board_pb2.WriteResponse]:
        """See board.proto."""
        charge = self.charging(context)
        judge = self._supervision.streamed_writes(context)

        def begin(write: board_pb2.WriteRequest) -> Call:
            charge()
            judge.admit(write)
            return Call.within(judge.caller, write.timeout_ms / 1000 if write.timeout_ms > 0 else DEADLINE_DEFAULT_S)

        async for response in self._writes.stream(request_iterator, begin, self._show, judge.settled):
            yield response

    def _show(self, request: Any, home: Home, outcome: Outcome, applied: board_pb2.WriteApplied) -> None:
        """Put the resource that a streamed write left into its answer."""
        if isinstance(request, PROJECT_WRITES):
            applied.project.CopyFrom(self._written_project(request, home, outcome))
        else:
            applied.task.CopyFrom(self._written_task(request, home, outcome))

    async def Watch(  # noqa: N802
        self, request: board_pb2.WatchRequest, context: Context
    ) -> AsyncIterator[board_pb2.WatchResponse]:
        """See board.proto."""
        self._callers.of(context)
        if self.watchers >= self.watchers_max:
            raise OverloadedError(f"{self.watchers_max} watchers are connected to this node already; use another node")
        self.watchers += 1
        try:
            home, project_id = await self._watched(request)
            sight = self._supervision.sight(context)
            plan = WatchPlan(
                project_id, request.resume_revision, request.send_initial_state, _progress_s(request), sight
            )
            async for response in Watching(home, plan, lambda: freshness_of(home)).messages():
                yield response
        finally:
            self.watchers -= 1

    async def _watched(self, request: board_pb2.WatchRequest) -> tuple[Home, str | None]:
        """The parent of a watch, as soon as this node is where the watcher has been already.

        A node that was away may be behind what the watcher saw elsewhere, even behind the making of the project.
        """
        mesh = self._homes.mesh
        with suppress(TimeoutError):
            async with asyncio.timeout(BEHIND_S):
                while request.resume_revision > mesh.board.revision:
                    with suppress(NotFoundError):
                        return self._parent(request.parent)
                    await mesh.feed.moved()
        return self._parent(request.parent)

    def _project(self, project: Project) -> board_pb2.Project:
        home = self._homes.local if project.home == self._homes.local.name else self._homes.mesh
        return project_message(project, home.board.count_tasks(project.id))

    def _task(self, home: Home, task: Task) -> board_pb2.Task:
        message = task_message(task, home.project_of)
        if home is self._homes.mesh and (waiting := self._offline.queue.count_of(task.id)):
            message.pending_writes = waiting
        return message

    async def _with_pending(self, request: board_pb2.GetTaskRequest, call: Call) -> board_pb2.Task | None:
        """A task with this node's queue laid over it; None for one that the queue does not concern."""
        if request.at_revision:
            raise InvalidInputError("with_pending and at_revision exclude each other; leave one of them out")
        ref = parse_task_name(request.name)
        home = self._homes.of_project(ref.project_id)
        await await_freshness(home, call, request.consistency, request.min_revision)
        task = self._offline.overlay.task(self._offline.overlay.id_of(ref)) if home is self._homes.mesh else None
        return None if task is None else self._offline.overlay.message(task)

    @staticmethod
    def _predicate(request: board_pb2.ListTasksRequest, project_id: str | None, sight: Sight) -> Predicate | None:
        """Which tasks a listing shows; None for all."""
        wanted = parse_filter(request.filter) if request.filter else None
        if project_id is not None or sight.everything:
            return wanted
        return lambda task: sight.sees(task.project_id) and (wanted is None or wanted(task))

    def _parent(self, parent: str) -> tuple[Home, str | None]:
        if parent == f"projects/{ALL_PROJECTS}":
            return self._homes.mesh, None
        project_id = parse_project_name(parent)
        home = self._homes.of_project(project_id)
        if home.board.project(project_id) is None:
            raise NotFoundError(f"there is no project {project_id}; see `weftmesh project ls`")
        return home, project_id

    async def _find_task(self, name: str, call: Call, consistency: int, min_revision: int) -> tuple[Home, Task]:
        ref = parse_task_name(name)
        home = self._homes.of_project(ref.project_id)
        await await_freshness(home, call, consistency, min_revision)
        task = home.find_task(ref)
        if task is None:
            raise NotFoundError(f"there is no task {name.rpartition('/')[2]}; see `weftmesh task ls`")
        return home, task


def _freshness_at(home: Home, revision: int) -> board_pb2.Freshness:
    freshness = freshness_of(home)
    freshness.revision = revision
    return freshness


def _free(_context: Context) -> Callable[[], None]:
    """Without a guard, streamed writes cost nothing."""
    return lambda: None


def _progress_s(request: board_pb2.WatchRequest) -> float:
    if not request.HasField("progress_interval"):
        return PROGRESS_DEFAULT_S
    asked_s = request.progress_interval.ToMilliseconds() / 1000
    return min(max(asked_s, PROGRESS_MIN_S), PROGRESS_MAX_S)


def _check_revision(home: Home, revision: int) -> None:
    if revision > home.board.revision:
        raise OutOfRangeError(
            f"revision {revision} is not there yet; this node is at {home.board.revision}. Use min_revision to wait",
            reason="REVISION_NOT_REACHED",
        )
