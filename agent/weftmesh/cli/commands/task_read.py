"""`weftmesh task ls` and `show`."""

from __future__ import annotations

from itertools import islice
from typing import Final

import click

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.commands.pending import queued_writes, show_queue
from weftmesh.cli.encoding import to_json
from weftmesh.cli.options import command
from weftmesh.cli.output import Output
from weftmesh.cli.references import parent_of, task_of
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.cli.text import due_text, priority_word, status_word, time_text

LIMIT_DEFAULT: Final = 200
PAGE_SIZE: Final = 500
COLUMNS: Final = (
    Column("KEY"),
    Column("STATUS"),
    Column("PRIORITY"),
    Column("ASSIGNEE"),
    Column("TITLE", flexible=True),
    Column("LABELS", flexible=True),
    Column("DUE"),
)


@command(None, "ls")
@click.argument("project", required=False)
@click.option("--filter", "-f", "filter_text", default="", help="Terms joined by AND, such as: status=open label=bug.")
@click.option("--deleted", is_flag=True, help="Deleted tasks too.")
@click.option("--at-revision", type=click.IntRange(min=1), help="The board as it was at this revision.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=LIMIT_DEFAULT, show_default=True, help="Tasks to show at most."
)
async def ls(
    session: Session, project: str | None, filter_text: str, deleted: bool, at_revision: int | None, limit: int
) -> None:
    """List the tasks of PROJECT, or of every replicated project.

    \b
    Filter terms: status=doing status=open assignee=ann label=bug priority>=high
    has:estimate due<2026-12-01 text:"free words" conflicts=true; -term for NOT.
    """  # noqa: D301, click's mark for lines that stay as they are
    request = board_pb2.ListTasksRequest(
        parent=parent_of(project),
        filter=filter_text,
        show_deleted=deleted,
        at_revision=at_revision or 0,
        page_size=min(limit, PAGE_SIZE),
    )
    async with session.client() as client:
        tasks: list[board_pb2.Task] = []
        while True:
            page = await client.board.list_tasks(request, timeout_s=session.timeout_s)
            tasks.extend(islice(page.tasks, limit - len(tasks)))
            request.page_token = page.next_page_token
            more = bool(page.next_page_token)
            if not more or len(tasks) >= limit:
                break
    _show_tasks(session.output, tasks, page.freshness, more)


def _show_tasks(output: Output, tasks: list[board_pb2.Task], freshness: board_pb2.Freshness, more: bool) -> None:
    if output.as_json:
        output.json({"tasks": [to_json(task) for task in tasks], "more": more, "freshness": to_json(freshness)})
        return
    output.table(COLUMNS, [_row(task) for task in tasks])
    if more:
        output.note(f"{len(tasks)} shown, there are more: use --limit or --filter")
    if not freshness.quorum:
        output.note(f"no quorum: this is what the node knew at revision {freshness.revision}")


def _row(task: board_pb2.Task) -> list[str]:
    marks = (" (deleted)" if task.HasField("delete_time") else "") + (" (conflict)" if task.open_conflicts else "")
    marks += " (pending)" if task.pending_writes else ""
    return [
        task.key,
        status_word(task.status),
        priority_word(task.priority),
        task.assignee,
        task.title + marks,
        ",".join(task.labels),
        due_text(task),
    ]


@command(None, "show")
@click.argument("task")
@click.option("--at-revision", type=click.IntRange(min=1), help="The task as it was at this revision of the board.")
async def show(session: Session, task: str, at_revision: int | None) -> None:
    """Show all of TASK, and its open conflicts."""
    async with session.client() as client:
        request = board_pb2.GetTaskRequest(name=await task_of(client, task), at_revision=at_revision or 0)
        found = await client.board.get_task(request, timeout_s=session.timeout_s)
        conflicts: list[board_pb2.Conflict] = []
        if found.open_conflicts and at_revision is None:
            listed = await client.board.list_conflicts(board_pb2.ListConflictsRequest(parent=found.name))
            conflicts = list(listed.conflicts)
        queued: list[board_pb2.QueuedWrite] = []
        if found.pending_writes and at_revision is None:
            queued = list((await queued_writes(client, found.name, session.timeout_s)).writes)
    if session.output.as_json:
        shown = {"conflicts": [to_json(one) for one in conflicts], "pending": [to_json(one) for one in queued]}
        session.output.json({"task": to_json(found), **shown})
        return
    session.output.pairs(_facts(found))
    if found.description:
        session.output.data("")
        for line in found.description.splitlines():
            session.output.data("".join(c if c.isprintable() or c == "\t" else " " for c in line))
    if conflicts:
        session.output.data("")
        show_conflicts(session.output, conflicts)
    if queued:
        session.output.data("")
        show_queue(session.output, queued)
        session.output.note("above is the task without these writes: they wait on this node for a quorum, or failed")


def _facts(task: board_pb2.Task) -> list[tuple[str, str]]:
    return [
        ("key", task.key),
        ("title", task.title),
        ("status", status_word(task.status)),
        ("assignee", task.assignee),
        ("priority", priority_word(task.priority)),
        ("labels", ", ".join(task.labels)),
        ("estimate", f"{task.estimate:g}" if task.HasField("estimate") else ""),
        ("due", due_text(task)),
        ("parent", task.parent),
        ("depends on", ", ".join(task.depends_on)),
        *((f"custom.{key}", value) for key, value in sorted(task.custom.items())),
        ("origin", task.origin),
        ("name", task.name),
        ("version", f"{task.version} (revision {task.revision}, etag {task.etag})"),
        ("created", time_text(task.create_time)),
        ("updated", f"{time_text(task.update_time)} by {task.updated_by}"),
        ("deleted", time_text(task.delete_time)),
        ("pending", f"{task.pending_writes} writes wait on this node" if task.pending_writes else ""),
    ]


def show_conflicts(output: Output, conflicts: list[board_pb2.Conflict]) -> None:
    """Print conflicts, a line for each field."""
    columns = [Column("CONFLICT"), Column("FIELD")]
    columns += [Column(title, flexible=True) for title in ("BASE", "YOURS", "THEIRS", "YOURS BY", "THEIRS BY")]
    rows = []
    for conflict in conflicts:
        reference = f"{conflict.task_key}/{conflict.name.rpartition('/')[2]}"
        for field in conflict.fields:
            values = [field.base, field.yours, field.theirs, conflict.actor, field.theirs_actor]
            rows.append([reference, field.path, *values])
    output.table(columns, rows)
    if conflicts:
        output.note("Settle one with: weftmesh task resolve PROJ-12/1 --take FIELD (the rest keeps theirs)")
