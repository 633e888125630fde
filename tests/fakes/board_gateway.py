"""A board in memory behind the import's gateway: merges by field and remembers its answers, as the real one does."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Sequence

from weftmesh.board.v1 import board_pb2
from weftmesh.core.errors import NoQuorumError

_SETS = ("labels", "depends_on")


class MemoryBoard:
    """Implements `BoardGateway`.

    Attributes:
        tasks: by resource name.
        batches: how many writes each call of `write` had.
        fail_after_batches: every later call of `write` raises NoQuorumError.
    """

    def __init__(self) -> None:
        self.projects: dict[str, board_pb2.Project] = {}
        self.tasks: dict[str, board_pb2.Task] = {}
        self.batches: list[int] = []
        self.fail_after_batches: int | None = None
        self._versions: dict[tuple[str, str], board_pb2.Task] = {}
        self._answers: dict[str, str] = {}
        self._clock_s = 1_700_000_000

    async def list_projects(self) -> Sequence[board_pb2.Project]:
        return list(self.projects.values())

    async def create_project(self, project_id: str, title: str) -> board_pb2.Project:
        project = board_pb2.Project(name=f"projects/{project_id}", title=title)
        self.projects[project_id] = project
        return project

    async def list_tasks(self, project_id: str) -> AsyncIterator[board_pb2.Task]:
        for task in list(self.tasks.values()):
            if task.name.startswith(f"projects/{project_id}/"):
                yield copy.deepcopy(task)

    async def write(self, requests: Sequence[board_pb2.WriteRequest]) -> Sequence[board_pb2.WriteResponse]:
        if self.fail_after_batches is not None and len(self.batches) >= self.fail_after_batches:
            raise NoQuorumError("no quorum; try again")
        self.batches.append(len(requests))
        return [self._answer(request) for request in reversed(requests)]

    def task(self, key: str) -> board_pb2.Task:
        return next(task for task in self.tasks.values() if task.key == key)

    def edit(self, key: str, **values: object) -> None:
        """Somebody changes fields on the board."""
        task = self.task(key)
        for path, value in values.items():
            setattr(task, path, value)
        self._stamp(task)

    def delete(self, key: str) -> None:
        task = self.task(key)
        task.delete_time.FromSeconds(self._clock_s)
        self._stamp(task)

    def _answer(self, request: board_pb2.WriteRequest) -> board_pb2.WriteResponse:
        creates = request.HasField("create_task")
        request_id = request.create_task.request_id if creates else request.update_task.request_id
        if request_id and request_id in self._answers:
            message = self._answers[request_id]
        else:
            message = self._create(request) if creates else self._update(request)
            self._answers[request_id] = message
        answer = board_pb2.WriteResponse(sequence=request.sequence)
        if message in ("", "unchanged"):
            answer.applied.unchanged = message == "unchanged"
        else:
            answer.failed.message = message
        return answer

    def _create(self, request: board_pb2.WriteRequest) -> str:
        create = request.create_task
        project_id = create.parent.removeprefix("projects/")
        name = f"{create.parent}/tasks/{create.task_id}"
        if project_id not in self.projects:
            return f"there is no project {project_id}"
        origin = create.task.origin
        if name in self.tasks or (origin and any(task.origin == origin for task in self.tasks.values())):
            return "there is such a task already"
        task = copy.deepcopy(create.task)
        task.name = name
        taken = {task.key for task in self.tasks.values()}
        number = create.number_hint
        while not number or f"{project_id}-{number}" in taken:
            number += 1
        task.key = f"{project_id}-{number}"
        task.create_time.FromSeconds(self._clock_s)
        self.tasks[name] = task
        self._stamp(task)
        return ""

    def _update(self, request: board_pb2.WriteRequest) -> str:
        update = request.update_task
        task = self.tasks.get(update.task.name)
        if task is None:
            return f"there is no task {update.task.name}"
        base = update.base if update.HasField("base") else self._versions.get((task.name, update.task.etag))
        merged = copy.deepcopy(task)
        for path in update.update_mask.paths:
            theirs, yours = _read(task, path), _read(update.task, path)
            seen = theirs if base is None else _read(base, path)
            if path not in _SETS and yours != seen and seen != theirs and theirs != yours:
                return f"others changed {path}"
            if yours != seen:
                _copy(update.task, merged, path)
        if merged == task:
            return "unchanged"
        task.CopyFrom(merged)
        self._stamp(task)
        return ""

    def _stamp(self, task: board_pb2.Task) -> None:
        self._clock_s += 1
        task.version += 1
        task.revision = self._clock_s
        task.etag = f"v{task.version}"
        task.update_time.FromSeconds(self._clock_s)
        self._versions[task.name, task.etag] = copy.deepcopy(task)


def _read(task: board_pb2.Task, path: str) -> object:
    if path.startswith("custom."):
        return task.custom.get(path.removeprefix("custom."), "")
    if path in _SETS:
        return sorted(getattr(task, path))
    if path == "due":
        return task.due.SerializeToString()
    if path == "estimate":
        return task.estimate if task.HasField("estimate") else None
    value: object = getattr(task, path)
    return value


def _copy(source: board_pb2.Task, target: board_pb2.Task, path: str) -> None:
    if path.startswith("custom."):
        key = path.removeprefix("custom.")
        target.custom.pop(key, None)
        if source.custom.get(key):
            target.custom[key] = source.custom[key]
    elif path in _SETS:
        del getattr(target, path)[:]
        getattr(target, path).extend(getattr(source, path))
    elif path == "due":
        target.due.CopyFrom(source.due)
    elif path == "estimate" and not source.HasField("estimate"):
        target.ClearField("estimate")
    else:
        setattr(target, path, getattr(source, path))
