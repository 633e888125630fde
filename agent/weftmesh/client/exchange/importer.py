"""One import from file to board: read, compare, write what is missing. Broken off anywhere, it is run again.

The plan is made from the board as it is, tasks are found by origin, their identifiers follow from the row, and the same
write has the same request id: nothing is made twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from weftmesh.board.v1 import board_pb2
from weftmesh.client.exchange.gateway import BoardGateway
from weftmesh.client.exchange.messages import create_request, existing_task, renew_request_id, update_request
from weftmesh.client.exchange.tables import Table, read_table
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.exchange.mapping import ColumnMapping
from weftmesh.core.exchange.plan import ExistingTask, ImportPlan, PlannedCreate, PlannedUpdate, plan_import
from weftmesh.core.exchange.problems import Problem, shorten

BATCH_WRITES: Final = 256
BATCHES_IN_FLIGHT: Final = 4

Progress = Callable[[int, int], None]
"""Called with (writes answered, writes in all)."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How an import behaves.

    Attributes:
        dry_run: compare and report, write nothing.
        skip_bad: write the good rows though others are bad; otherwise one bad row stops everything.
        prefer_file: where file and board both changed a field, the file wins.
        encoding: of the file.
    """

    dry_run: bool = False
    skip_bad: bool = False
    prefer_file: bool = False
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or with `dry_run` would do. Counts are tasks; `skipped` also counts refused writes."""

    dry_run: bool
    written: bool
    """False when problems stopped the import before it wrote anything, and for a dry run."""
    projects: tuple[str, ...]
    """Projects that were made; empty when nothing was written."""
    created: int
    updated: int
    unchanged: int
    skipped: int
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]

    def to_json(self) -> dict[str, object]:
        """The report as a JSON object with the attributes' names."""
        return {
            "dry_run": self.dry_run,
            "written": self.written,
            "projects": list(self.projects),
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "skipped": self.skipped,
            "problems": [problem.to_json() for problem in self.problems],
            "notes": [note.to_json() for note in self.notes],
        }


async def run_import(
    gateway: BoardGateway,
    path: Path,
    mapping: ColumnMapping,
    options: ImportOptions | None = None,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Brings the board up to the file.

    Raises:
        InvalidInputError: the file cannot be read as a whole.
        WeftmeshError: the board cannot be reached; what was written stays, and the next run goes on from there.
    """
    options = options or ImportOptions()
    table = await asyncio.to_thread(read_table, path, mapping, encoding=options.encoding)
    plan = await _plan(gateway, table, mapping, str(path), options)
    problems = table.problems + plan.problems
    notes = table.notes + plan.notes
    bad_rows = table.bad_rows + len(plan.problems)
    stopped = bool(problems) and not options.skip_bad
    if options.dry_run or stopped:
        updated = sum(not update.of_new for update in plan.update)
        counts = (len(plan.create), updated, plan.unchanged) if options.dry_run else (0, 0, 0)
        return ImportReport(options.dry_run, False, (), *counts, bad_rows, problems, notes)
    run = _Run(gateway, str(path), on_progress or (lambda _done, _total: None), plan)
    await run.carry_out()
    projects = tuple(project.id for project in plan.projects_to_create)
    unchanged = plan.unchanged + run.unchanged
    skipped = bad_rows + len(run.refused)
    return ImportReport(
        False, True, projects, run.created, run.updated, unchanged, skipped, (*problems, *run.refused), notes
    )


async def _plan(
    gateway: BoardGateway, table: Table, mapping: ColumnMapping, file: str, options: ImportOptions
) -> ImportPlan:
    projects = {
        project.name.removeprefix("projects/"): not project.HasField("delete_time")
        for project in await gateway.list_projects()
    }
    existing: list[ExistingTask] = []
    for project_id in sorted({row.project_id for row in table.rows} & projects.keys()):
        if projects[project_id]:
            existing.extend([existing_task(task) async for task in gateway.list_tasks(project_id)])
    return await asyncio.to_thread(
        plan_import, table.rows, existing, projects, source=mapping.name, file=file, prefer_file=options.prefer_file
    )


class _Run:
    """The writing half: projects, then creates, then updates, so that references find what they name."""

    def __init__(self, gateway: BoardGateway, file: str, on_progress: Progress, plan: ImportPlan) -> None:
        self._gateway = gateway
        self._file = file
        self._on_progress = on_progress
        self._plan = plan
        self._total = len(plan.create) + len(plan.update)
        self._done = 0
        self.created = 0
        self.updated = 0
        self.unchanged = 0
        self.refused: list[Problem] = []
        self._missing: set[str] = set()
        """Tasks that could not be made: what would complete them is left out."""

    async def carry_out(self) -> None:
        for project in self._plan.projects_to_create:
            await self._gateway.create_project(project.id, project.title)
        await self._write_all(self._plan.create)
        await self._write_all([update for update in self._plan.update if update.name not in self._missing])

    async def _write_all(self, planned: Sequence[PlannedCreate] | Sequence[PlannedUpdate]) -> None:
        """Writes in batches, several at a time; the first error of a batch ends all of them."""
        batches = (planned[start : start + BATCH_WRITES] for start in range(0, len(planned), BATCH_WRITES))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(BATCHES_IN_FLIGHT):
                    group.create_task(self._write_batches(batches))
        except* WeftmeshError as errors:
            raise _first(errors) from errors

    async def _write_batches(self, batches: Iterator[Sequence[PlannedCreate | PlannedUpdate]]) -> None:
        for batch in batches:
            requests = [
                create_request(planned) if isinstance(planned, PlannedCreate) else update_request(planned)
                for planned in batch
            ]
            for sequence, request in enumerate(requests):
                request.sequence = sequence
            answers = await self._answers(requests)
            for sequence, planned in enumerate(batch):
                self._count(planned, answers[sequence])
            self._done += len(batch)
            self._on_progress(self._done, self._total)

    async def _answers(self, requests: Sequence[board_pb2.WriteRequest]) -> dict[int, board_pb2.WriteResponse]:
        """The answers by sequence. A refusal may be the remembered one of an earlier run whose cause is gone by now, so
        refused writes are tried once more under ids of their own.
        """
        answers = {answer.sequence: answer for answer in await self._gateway.write(requests)}
        refused = [request for request in requests if answers[request.sequence].WhichOneof("result") != "applied"]
        if refused:
            for request in refused:
                renew_request_id(request)
            answers |= {answer.sequence: answer for answer in await self._gateway.write(refused)}
        return answers

    def _count(self, planned: PlannedCreate | PlannedUpdate, answer: board_pb2.WriteResponse) -> None:
        if answer.WhichOneof("result") != "applied":
            self._refuse(planned, answer.failed.message)
        elif isinstance(planned, PlannedCreate):
            self.created += 1
        elif not planned.of_new:
            self.unchanged += answer.applied.unchanged
            self.updated += not answer.applied.unchanged

    def _refuse(self, planned: PlannedCreate | PlannedUpdate, message: str) -> None:
        if isinstance(planned, PlannedCreate):
            self._missing.add(f"projects/{planned.project_id}/tasks/{planned.task_id}")
        fix = "correct the row or the task and import again"
        self.refused.append(Problem(self._file, planned.line, "", shorten(planned.origin), message, fix))


def _first(errors: BaseExceptionGroup[WeftmeshError]) -> BaseException:
    """The first error of a group of groups."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
