"""`weftmesh task log`, `watch` and `conflicts`."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, Final

import click

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.commands.task_read import show_conflicts
from weftmesh.cli.encoding import enum_word, to_json
from weftmesh.cli.options import command
from weftmesh.cli.references import key_name, parent_of, task_of
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.cli.text import status_word, time_text
from weftmesh.core.ids import split_key

PAGE_SIZE: Final = 1_000
PAGES_MAX: Final = 1_000
LOG_COLUMNS: Final = (
    Column("VERSION", right=True),
    Column("TIME"),
    Column("WHO"),
    Column("VERB"),
    Column("FIELD"),
    Column("BEFORE", flexible=True),
    Column("AFTER", flexible=True),
    Column("LOST", flexible=True),
)


@command(None, "log")
@click.argument("task")
async def log(session: Session, task: str) -> None:
    """Show every change of TASK, oldest first: who wrote what, and each value that lost."""
    async with session.client() as client:
        request = board_pb2.ListTaskHistoryRequest(name=await task_of(client, task), page_size=PAGE_SIZE)
        changes: list[board_pb2.Change] = []
        for _ in range(PAGES_MAX):
            page = await client.board.list_task_history(request, timeout_s=session.timeout_s)
            changes.extend(page.changes)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
    if session.output.as_json:
        session.output.json({"changes": [to_json(change) for change in changes]})
    else:
        session.output.table(LOG_COLUMNS, [row for change in changes for row in _log_rows(change)])


def _log_rows(change: board_pb2.Change) -> list[list[str]]:
    head = [str(change.version), time_text(change.time), change.actor, change.verb]
    if not change.fields:
        return [[*head, "", "", "", ""]]
    rows = []
    for field in change.fields:
        lost = f"{field.loser or '(empty)'} by {field.loser_actor}" if field.has_loser else ""
        rows.append([*head, field.path, field.before, field.after, lost])
        head = ["", "", "", ""]
    return rows


@command(None, "conflicts")
@click.argument("parent", required=False, metavar="[PROJECT|TASK]")
async def conflicts(session: Session, parent: str | None) -> None:
    """List the conflicts of a project, of a task, or of every replicated project that wait for a decision."""
    is_task = parent is not None and (split_key(parent.upper()) is not None or "/tasks/" in parent)
    name = key_name(parent) if is_task and parent else parent_of(parent)
    request = board_pb2.ListConflictsRequest(parent=name or "", page_size=PAGE_SIZE)
    found: list[board_pb2.Conflict] = []
    async with session.client() as client:
        if is_task:
            task = await client.board.get_task(board_pb2.GetTaskRequest(name=request.parent))
            request.parent = task.name
        for _ in range(PAGES_MAX):
            page = await client.board.list_conflicts(request, timeout_s=session.timeout_s)
            found.extend(page.conflicts)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
    if session.output.as_json:
        session.output.json({"conflicts": [to_json(conflict) for conflict in found]})
    elif found:
        show_conflicts(session.output, found)
    else:
        session.output.note("no conflicts")


@command(None, "watch")
@click.argument("project", required=False)
@click.option("--from-revision", type=click.IntRange(min=1), help="Begin after this revision.  [default: now]")
@click.option("--initial", is_flag=True, help="List what is there first.")
@click.option("--count", type=click.IntRange(min=1), help="End after this many events.")
async def watch(
    session: Session, project: str | None, from_revision: int | None, initial: bool, count: int | None
) -> None:
    """Follow the changes of PROJECT, or of every replicated project, until Ctrl-C. With --json, one object a line."""
    parent = parent_of(project)
    left = count
    async with session.client() as client, aclosing(client.watch(parent, from_revision or 0, initial)) as events:
        session.output.note(f"watching {parent}; Ctrl-C ends it")
        try:
            async for event in events:
                if event.WhichOneof("event") == "progress":
                    continue
                _show_event(session, event)
                if left is not None and event.WhichOneof("event") != "resync":
                    left -= 1
                    if left == 0:
                        return
        except asyncio.CancelledError:
            return  # Ctrl-C is how a watch ends well


def _show_event(session: Session, event: board_pb2.WatchEvent) -> None:
    if session.output.as_json:
        session.output.json({"event": to_json(event)}, line=True)
        return
    match event.WhichOneof("event"):
        case "task":
            session.output.data(_cut(session, _task_line(event.task, event.revision)))
        case "project":
            kind = enum_word(board_pb2.EventKind.DESCRIPTOR, event.project.kind)
            session.output.data(_cut(session, f"{event.revision}  {event.project.project.name}  {kind}"))
        case "resync":
            session.output.note("the history in between is no longer kept; what follows is a new listing")


def _task_line(event: board_pb2.TaskEvent, revision: int) -> str:
    kind = enum_word(board_pb2.EventKind.DESCRIPTOR, event.kind)
    what = kind + (f" {','.join(event.changed_paths)}" if event.changed_paths else "")
    gap = " (several changes in one)" if event.gap else ""
    by = f" by {event.actor}" if event.actor else ""
    return f"{revision}  {event.task.key}  {what}{by}{gap}: {event.task.title} [{status_word(event.task.status)}]"


def _cut(session: Session, text: str) -> str:
    from weftmesh.cli.tables import cut, one_line

    width: Any = session.output.width()
    return one_line(text) if width is None else cut(one_line(text), width)
