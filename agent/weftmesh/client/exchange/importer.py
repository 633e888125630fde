"""One import from file to board: read, compare, write what is missing. Broken off anywhere, it is run again.

The plan is made from the board as it is, tasks are found by origin, and their identifiers follow from the row: nothing
is made twice. Every write is marked with the import's token (`core.exchange.tokens`), by which it can be taken back.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from weftmesh.client.exchange.gateway import BoardGateway
from weftmesh.client.exchange.messages import existing_task, past_change
from weftmesh.client.exchange.sources import ImportSource
from weftmesh.client.exchange.tables import Table
from weftmesh.client.exchange.writing import BATCH_WRITES, ImportRun, Progress
from weftmesh.core.exchange.plan import plan_import
from weftmesh.core.exchange.planned import ExistingTask, ImportPlan, ImportRules
from weftmesh.core.exchange.problems import Problem
from weftmesh.core.exchange.rows import ImportedTask
from weftmesh.core.exchange.tokens import ImportToken
from weftmesh.core.exchange.undo import was_taken_back

__all__ = ["BATCH_WRITES", "ImportOptions", "ImportReport", "Progress", "import_table", "run_import"]

_HISTORIES: Final = 512
"""Asked for in one call of the gateway."""

OnToken = Callable[[ImportToken], None]
"""Called before the first write, so that the token is known even if the import never ends."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How an import behaves.

    Attributes:
        dry_run: compare and report, write nothing.
        skip_bad: write the good rows though others are bad; otherwise one bad row stops everything.
        rules: who wins where file and board differ.
    """

    dry_run: bool = False
    skip_bad: bool = False
    rules: ImportRules = field(default_factory=ImportRules)


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
    restored: int = 0
    """Tasks that an undo had taken away; not counted elsewhere."""
    vanished: int = 0
    """Of a mirror: tasks that were marked as no longer in the file; counted in `updated` too."""
    drift: tuple[Problem, ...] = ()
    """Of a mirror: fields that were edited on the board."""
    undo: str = ""
    """The token that takes this import back; empty when it wrote nothing."""
    changes: tuple[str, ...] = ()
    """A line for each task that was made or changed."""

    def to_json(self) -> dict[str, object]:
        """The report as a JSON object with the attributes' names."""
        return {
            "dry_run": self.dry_run,
            "written": self.written,
            "projects": list(self.projects),
            "created": self.created,
            "restored": self.restored,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "skipped": self.skipped,
            "vanished": self.vanished,
            "undo": self.undo,
            "problems": [problem.to_json() for problem in self.problems],
            "notes": [note.to_json() for note in self.notes],
            "drift": [one.to_json() for one in self.drift],
        }


async def run_import(
    gateway: BoardGateway,
    path: Path,
    source: ImportSource,
    options: ImportOptions | None = None,
    on_progress: Progress | None = None,
    on_token: OnToken | None = None,
) -> ImportReport:
    """Brings the board up to the file.

    Raises:
        InvalidInputError: the file cannot be read as a whole.
        WeftmeshError: the board cannot be reached; what was written stays, and the next run goes on from there.
    """
    table = await asyncio.to_thread(source.read, path)
    return await import_table(gateway, table, source.name, str(path), options, on_progress, on_token)


async def import_table(
    gateway: BoardGateway,
    table: Table,
    source: str,
    file: str,
    options: ImportOptions | None = None,
    on_progress: Progress | None = None,
    on_token: OnToken | None = None,
) -> ImportReport:
    """Brings the board up to what was read from `file` of the tracker `source`.

    Raises:
        WeftmeshError: as `run_import`.
    """
    options = options or ImportOptions()
    plan = await _plan(gateway, table, source, file, options.rules)
    report = _compared(table, plan, dry_run=options.dry_run)
    if options.dry_run:
        return report
    if report.problems and not options.skip_bad:
        return replace(report, created=0, restored=0, updated=0, unchanged=0, vanished=0, changes=())
    if not (plan.create or plan.restore or plan.update or plan.projects_to_create):
        return replace(report, written=True)
    token = ImportToken.new(await gateway.revision(), secrets.SystemRandom())
    if on_token is not None:
        on_token(token)
    run = ImportRun(gateway, file, plan, token, on_progress or (lambda _done, _total: None))
    await run.carry_out()
    return _written(report, plan, run, token)


def _compared(table: Table, plan: ImportPlan, *, dry_run: bool) -> ImportReport:
    """What the plan comes to if the board takes all of it."""
    return ImportReport(
        dry_run,
        written=False,
        projects=(),
        created=len(plan.create),
        updated=sum(not update.of_new for update in plan.update),
        unchanged=plan.unchanged,
        skipped=table.bad_rows + len(plan.problems),
        problems=table.problems + plan.problems,
        notes=table.notes + plan.notes,
        restored=len(plan.restore),
        vanished=plan.vanished,
        drift=plan.drift,
        changes=tuple(_changes(plan)),
    )


def _written(report: ImportReport, plan: ImportPlan, run: ImportRun, token: ImportToken) -> ImportReport:
    """What the board took of it."""
    return replace(
        report,
        written=True,
        projects=tuple(project.id for project in plan.projects_to_create),
        created=run.created,
        restored=run.restored,
        updated=run.updated,
        unchanged=plan.unchanged + run.unchanged,
        skipped=report.skipped + len(run.refused),
        problems=(*report.problems, *run.refused),
        undo=str(token),
    )


async def _plan(gateway: BoardGateway, table: Table, source: str, file: str, rules: ImportRules) -> ImportPlan:
    projects = {
        project.name.removeprefix("projects/"): not project.HasField("delete_time")
        for project in await gateway.list_projects()
    }
    existing: list[ExistingTask] = []
    for project_id in sorted({row.project_id for row in table.rows} & projects.keys()):
        if projects[project_id]:
            existing.extend([existing_task(task) async for task in gateway.list_tasks(project_id)])
    existing = await _with_taken_back(gateway, existing, table.rows)
    return await asyncio.to_thread(plan_import, table.rows, existing, projects, source=source, file=file, rules=rules)


async def _with_taken_back(
    gateway: BoardGateway, existing: list[ExistingTask], rows: tuple[ImportedTask, ...]
) -> list[ExistingTask]:
    """The tasks, with those marked that an undo deleted and the file has again."""
    origins = {(row.project_id, row.origin) for row in rows}
    asked = [
        index
        for index, task in enumerate(existing)
        if task.deleted and (task.name.split("/")[1], task.origin) in origins
    ]
    for start in range(0, len(asked), _HISTORIES):
        part = asked[start : start + _HISTORIES]
        histories = await gateway.history([existing[index].name for index in part])
        for index, changes in zip(part, histories, strict=True):
            if was_taken_back([past_change(change) for change in changes]):
                existing[index] = replace(existing[index], taken_back=True)
    return existing


def _changes(plan: ImportPlan) -> list[str]:
    """What the plan comes to, task by task; updates that complete a new task are part of it."""
    lines = [f"created {created.origin}: {created.fields.get('title', '')}" for created in plan.create]
    lines += [f"brought back {restored.origin}" for restored in plan.restore]
    for update in plan.update:
        paths = ", ".join(path for path in sorted(update.changes) if not path.endswith("import_digests"))
        if not update.of_new and paths:
            lines.append(f"updated {update.origin}: {paths}")
    return lines
