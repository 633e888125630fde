"""A board in memory behind the import's gateway: the production machine and wire format, without a node or a log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from google.protobuf.message import Message

from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.commands import (
    CreateProject,
    DeleteProject,
    DeleteTask,
    Header,
    UndeleteTask,
    UpdateTask,
)
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import FieldValue, Task
from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.clock import ms_to_stamp
from weftmesh.core.errors import NoQuorumError, NotFoundError, PreconditionError, WeftmeshError
from weftmesh.core.ids import parse_task_name
from weftmesh.runtime.rpc import to_write_failed
from weftmesh.runtime.wire.outcomes import applied_message, error_of
from weftmesh.runtime.wire.requests import WriteContext, command_from_request
from weftmesh.runtime.wire.resources import change_message, project_message, task_message

PAGE = 1_000


class MemoryBoard:
    """Implements `BoardGateway`. Writes of a batch are applied last one first, as their order is not fixed.

    Attributes:
        board: the machine.
        batches: how many writes each call of `write` had.
        elsewhere: projects whose home is another node.
        fail_after_batches: every later call of `write` raises NoQuorumError.
    """

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self.board = Board()
        self.batches: list[int] = []
        self.elsewhere: set[str] = set()
        self.fail_after_batches: int | None = None
        self._now_ms = start_ms

    async def list_projects(self) -> Sequence[board_pb2.Project]:
        page = self.board.list_projects(after=None, limit=PAGE, show_deleted=True)
        return [project_message(project, 0) for project in page.projects]

    async def create_project(self, project_id: str, title: str) -> board_pb2.Project:
        self._do(CreateProject(self._header(), project_id, title))
        project = self.board.project(project_id)
        assert project is not None
        return project_message(project, 0)

    async def revision(self) -> int:
        return self.board.revision

    async def history(self, names: Sequence[str]) -> Sequence[Sequence[board_pb2.Change]]:
        return [[change_message(change) for change in self._task(name).history] for name in names]

    async def task_at(self, name: str, revision: int) -> board_pb2.Task:
        past = self.board.task_at(self._task(name), revision)
        assert past is not None
        return task_message(past, self._project_of)

    async def list_tasks(self, project_id: str) -> AsyncIterator[board_pb2.Task]:
        if project_id in self.elsewhere:
            raise PreconditionError(f"project {project_id} lives on node far; ask there", reason="PROJECT_ELSEWHERE")
        for task in self.tasks(project_id):
            yield task

    async def write(self, requests: Sequence[board_pb2.WriteRequest]) -> Sequence[board_pb2.WriteResponse]:
        if self.fail_after_batches is not None and len(self.batches) >= self.fail_after_batches:
            raise NoQuorumError("no quorum; try again")
        self.batches.append(len(requests))
        return [self._answer(request) for request in reversed(requests)]

    def tasks(self, project_id: str | None = None) -> list[board_pb2.Task]:
        """Every task, deleted ones too, in the order they were made."""
        found: list[board_pb2.Task] = []
        cursor = None
        while True:
            page = self.board.list_tasks(project_id, None, after=cursor, limit=PAGE, show_deleted=True)
            found.extend(task_message(task, self._project_of) for task in page.tasks)
            cursor = page.next_cursor
            if cursor is None:
                return found

    def task(self, key: str) -> board_pb2.Task:
        task = self.board.find_task(key)
        assert task is not None, key
        return task_message(task, self._project_of)

    def edit(self, key: str, **changes: FieldValue) -> None:
        """Somebody changes fields on the board."""
        self._do(UpdateTask(self._header(), self._id(key), changes))

    def delete(self, key: str) -> None:
        self._do(DeleteTask(self._header(), self._id(key)))

    def undelete(self, key: str) -> None:
        self._do(UndeleteTask(self._header(), self._id(key)))

    def delete_project(self, project_id: str) -> None:
        self._do(DeleteProject(self._header(), project_id))

    def _answer(self, request: board_pb2.WriteRequest) -> board_pb2.WriteResponse:
        message: Message = getattr(request, str(request.WhichOneof("write")))
        try:
            outcome = self._do(command_from_request(message, self._context()))
        except WeftmeshError as error:
            return board_pb2.WriteResponse(sequence=request.sequence, failed=to_write_failed(error))
        return board_pb2.WriteResponse(sequence=request.sequence, applied=applied_message(outcome, self.board))

    def _do(self, command: Any) -> Outcome:
        outcome, _ = self.board.apply(command)
        if not outcome.ok:
            raise error_of(outcome, self.board)
        return outcome

    def _context(self) -> WriteContext:
        header = self._header()
        return WriteContext(header.actor, "ann", header.stamp, new_ulid=str, resolve=self._id)

    def _header(self) -> Header:
        self._now_ms += 1
        return Header(actor="ann@memory", stamp=ms_to_stamp(self._now_ms))

    def _id(self, name: str) -> str:
        ref = parse_task_name(name) if "/" in name else None
        task = self.board.find_task(ref.task_id or f"{ref.project_id}-{ref.number}" if ref else name)
        if task is None:
            raise NotFoundError(f"there is no task {name}")
        return task.id

    def _task(self, name: str) -> Task:
        task = self.board.find_task(self._id(name))
        assert task is not None
        return task

    def _project_of(self, task_id: str) -> str:
        task = self.board.find_task(task_id)
        return task.project_id if task else ""
