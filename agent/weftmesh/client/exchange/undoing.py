"""Taking one import back, wherever it was made: what it did is found in the replicated history by its token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from weftmesh.board.v1 import board_pb2
from weftmesh.client.exchange.gateway import BoardGateway
from weftmesh.client.exchange.messages import (
    delete_request,
    existing_task,
    past_change,
    update_request,
)
from weftmesh.client.exchange.writing import write_batches
from weftmesh.core.errors import NotFoundError, PreconditionError
from weftmesh.core.exchange.planned import ExistingTask, PlannedUpdate
from weftmesh.core.exchange.tokens import ImportToken, Mark
from weftmesh.core.exchange.undo import Action, Verdict, judge

_HISTORIES: Final = 512
"""Asked for in one call of the gateway."""
_READS: Final = 32
"""Earlier versions asked for at a time."""
_MESH: Final = "mesh"
_ELSEWHERE: Final = "PROJECT_ELSEWHERE"
"""The reason of a node that was asked for the tasks of a project that lives on another."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A task, or some of its fields, that an undo left alone."""

    key: str
    origin: str
    why: str

    def to_json(self) -> dict[str, object]:
        """A JSON object with the attributes' names."""
        return {"key": self.key, "origin": self.origin, "why": self.why}


@dataclass(slots=True)
class UndoReport:
    """What an undo did, or with `dry_run` would do. Counts are tasks.

    Attributes:
        token: of the import.
        dry_run: whether nothing was written.
        deleted: made by the import, now deleted.
        restored: fields that the import changed are back as they were.
        already: nothing is left to take back of these.
        kept: edited since.
        empty_projects: without a task now; an undo does not remove projects.
        elsewhere: projects whose home is another node: not looked at.
    """

    token: str
    dry_run: bool
    deleted: int = 0
    restored: int = 0
    already: int = 0
    kept: list[Kept] = field(default_factory=list)
    empty_projects: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """The report as a JSON object with the attributes' names."""
        return {
            "token": self.token,
            "dry_run": self.dry_run,
            "deleted": self.deleted,
            "restored": self.restored,
            "already": self.already,
            "kept": [one.to_json() for one in self.kept],
            "empty_projects": self.empty_projects,
            "elsewhere": self.elsewhere,
        }


@dataclass(slots=True)
class _Touched:
    """A task that the import wrote to."""

    task: ExistingTask
    verdict: Verdict


async def undo_import(
    gateway: BoardGateway, token: ImportToken, *, dry_run: bool = False, force: bool = False
) -> UndoReport:
    """Takes back what the import made or changed, where nobody changed it since.

    Args:
        gateway: the board, on any node; for a project whose home is a node, that one.
        token: of the import.
        dry_run: find and report, write nothing.
        force: take back what was edited since, too.

    Raises:
        NotFoundError: no task bears a trace of this import.
        WeftmeshError: the board cannot be reached; what was taken back stays so, and the next run goes on.
    """
    report = UndoReport(str(token), dry_run)
    touched, emptied = await _everywhere(gateway, token, force, report)
    if not touched:
        raise NotFoundError(
            f"no task bears a trace of the import {token}: it wrote nothing, was made on another board or in a project "
            "that is deleted now or has its home on another node, or the board was restored from an older backup"
        )
    await _take_back(gateway, touched, token, report)
    if not report.kept:
        report.empty_projects = sorted(emptied)
    return report


async def _everywhere(
    gateway: BoardGateway, token: ImportToken, force: bool, report: UndoReport
) -> tuple[list[_Touched], set[str]]:
    """What the import wrote to, and the projects where no other task lives; `report` notes where nobody could look."""
    touched: list[_Touched] = []
    emptied: set[str] = set()
    for project in await gateway.list_projects():
        if project.HasField("delete_time"):
            continue
        project_id = project.name.removeprefix("projects/")
        try:
            found, live = await _touched(gateway, project, token, force)
        except PreconditionError as error:
            if error.reason != _ELSEWHERE:
                raise
            report.elsewhere.append(project_id)
            continue
        touched += found
        if found and live <= sum(one.verdict.action is Action.DELETE for one in found):
            emptied.add(project_id)
    return touched, emptied


async def _take_back(gateway: BoardGateway, touched: list[_Touched], token: ImportToken, report: UndoReport) -> None:
    """Write what takes the tasks back, and count it; in a dry run only count."""
    before = await _before(gateway, touched)
    planned = [(one, _request(one, before, token, report)) for one in touched]
    writes = [(one, request) for one, request in planned if request is not None]
    if not report.dry_run:
        requests = [request for _, request in writes]
        await write_batches(gateway, requests, _counting(report, [one for one, _ in writes]))


async def _touched(
    gateway: BoardGateway, project: board_pb2.Project, token: ImportToken, force: bool
) -> tuple[list[_Touched], int]:
    """What the import wrote to in one project, and how many live tasks that has."""
    # A project with another home counts revisions of its own.
    since = token.revision if project.home in ("", _MESH) else 0
    live = 0
    found: list[_Touched] = []
    candidates: list[board_pb2.Task] = []
    async for task in gateway.list_tasks(project.name.removeprefix("projects/")):
        live += not task.HasField("delete_time")
        if task.revision > since:
            candidates.append(task)
        if len(candidates) == _HISTORIES:
            found += await _judged(gateway, candidates, token, force)
            candidates.clear()
    return found + await _judged(gateway, candidates, token, force), live


async def _judged(
    gateway: BoardGateway, tasks: list[board_pb2.Task], token: ImportToken, force: bool
) -> list[_Touched]:
    histories = await gateway.history([task.name for task in tasks])
    found = []
    for task, changes in zip(tasks, histories, strict=True):
        past = [past_change(change) for change in changes]
        verdict = judge(past, token, open_conflicts=task.open_conflicts, force=force)
        if verdict is not None:
            found.append(_Touched(existing_task(task), verdict))
    return found


async def _before(gateway: BoardGateway, touched: list[_Touched]) -> dict[str, ExistingTask]:
    """What the tasks were whose fields go back, by name."""
    found: dict[str, ExistingTask] = {}
    asked = [one for one in touched if one.verdict.action is Action.RESTORE]
    for start in range(0, len(asked), _READS):
        part = asked[start : start + _READS]
        tasks = await asyncio.gather(*(gateway.task_at(one.task.name, one.verdict.revision_before) for one in part))
        found.update((one.task.name, existing_task(task)) for one, task in zip(part, tasks, strict=True))
    return found


def _request(
    one: _Touched, before: Mapping[str, ExistingTask], token: ImportToken, report: UndoReport
) -> board_pb2.WriteRequest | None:
    """The write that takes one task back, if any; in a dry run it is counted here."""
    task, verdict = one.task, one.verdict
    for edit in verdict.edits:
        if verdict.action is not Action.DELETE and edit.path not in verdict.paths:
            why = f"{edit.path} was set to {edit.value!r} by {edit.actor} at {edit.time}"
            report.kept.append(Kept(task.key, task.origin, why))
    match verdict.action:
        case Action.NOTHING:
            report.already += 1
            return None
        case Action.KEEP:
            if not verdict.edits:
                report.kept.append(Kept(task.key, task.origin, "a conflict on it waits for a decision"))
            return None
        case Action.DELETE:
            request = delete_request(task.name, task.etag, token)
        case Action.RESTORE:
            changes = {path: before[task.name].value(path) for path in verdict.paths}
            base = {path: task.value(path) for path in verdict.paths}
            planned = PlannedUpdate(task.name, task.origin, changes, 0, task.etag, base)
            request = update_request(planned, token, Mark.UNDO)
    if report.dry_run:
        _count(report, verdict)
    return request


def _counting(report: UndoReport, writes: list[_Touched]) -> Callable[[dict[int, board_pb2.WriteResponse]], None]:
    def on_answers(answers: dict[int, board_pb2.WriteResponse]) -> None:
        for place, answer in sorted(answers.items()):
            one = writes[place]
            if answer.WhichOneof("result") == "applied":
                _count(report, one.verdict)
            else:
                report.kept.append(Kept(one.task.key, one.task.origin, answer.failed.message))

    return on_answers


def _count(report: UndoReport, verdict: Verdict) -> None:
    if verdict.action is Action.DELETE:
        report.deleted += 1
    else:
        report.restored += 1
