"""`weftmesh task add`, `set` and everything else that changes one task."""

from __future__ import annotations

import click
from google.protobuf.field_mask_pb2 import FieldMask

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.encoding import to_json
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command, dry_run_option, no_queue_option
from weftmesh.cli.output import Output
from weftmesh.cli.queueing import carry_out, see
from weftmesh.cli.references import conflict_of, project_of, task_of, tasks_of
from weftmesh.cli.session import Session
from weftmesh.cli.task_fields import assign, parse_assignments, references
from weftmesh.cli.text import status_word
from weftmesh.core.errors import InvalidInputError


def show_written(output: Output, task: board_pb2.Task, verb: str, dry_run: bool) -> None:
    """Say what became of a write: the key to stdout, so that a script has it; the rest to people."""
    if output.as_json:
        output.json({"task": to_json(task), "dry_run": dry_run})
        return
    if reference := task.key or task.name:
        output.data(reference)
    would = "would be " if dry_run else ""
    output.note(f"{would}{verb}: {task.title} [{status_word(task.status)}], version {task.version}")


@command(None, "add")
@click.argument("project")
@click.argument("title")
@click.argument("assignments", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--description", "-d", default="", help="Longer text.")
@click.option("--id", "task_id", default="", help="A ULID for the task; makes the command safe to repeat.")
@dry_run_option
@no_queue_option
async def add(
    session: Session,
    project: str,
    title: str,
    assignments: tuple[str, ...],
    description: str,
    task_id: str,
    dry_run: bool,
    no_queue: bool,
) -> ExitCode:
    """Make a task in PROJECT, with TITLE and any field as FIELD=VALUE (see `task set`)."""
    wanted = parse_assignments(assignments)
    async with session.client() as client:
        names = await tasks_of(client, references(wanted))
        task, _ = assign(wanted, board_pb2.Task(title=title, description=description), names)
        request = board_pb2.CreateTaskRequest(
            parent=project_of(project), task_id=task_id, task=task, validate_only=dry_run
        )
        made = await carry_out(session, client, client.board.create_task, request, no_queue=no_queue)
    return _said(session.output, made, "added", dry_run)


@command(None, "set")
@click.argument("task")
@click.argument("assignments", nargs=-1, required=True, metavar="FIELD=VALUE...")
@click.option("--queued", is_flag=True, help="Where somebody changed the same, store a conflict instead of failing.")
@dry_run_option
@no_queue_option
async def set_(
    session: Session, task: str, assignments: tuple[str, ...], queued: bool, dry_run: bool, no_queue: bool
) -> ExitCode:
    """Change fields of TASK. What others changed meanwhile is merged; the same field changed by both is a conflict.

    \b
    status=done  priority=high  assignee=ann  estimate=3  title="New words"
    label+=bug  label-=idea  depends_on+=PROJ-3  parent=PROJ-1  custom.team=core
    due=2026-12-01  due="2026-12-01 14:00 Europe/Helsinki"
    due=  (an empty value clears the field)
    """  # noqa: D301, click's mark for lines that stay as they are
    return await _change(session, task, assignments, queued=queued, dry_run=dry_run, no_queue=no_queue)


async def _change(
    session: Session, reference: str, words: tuple[str, ...], *, queued: bool = False, dry_run: bool, no_queue: bool
) -> ExitCode:
    """Read the task, change it and send both, so that the board can merge."""
    wanted = parse_assignments(words)
    async with session.client() as client:
        seen = await see(client, reference, session.timeout_s)
        before = seen.task
        names = await tasks_of(client, references(wanted))
        changed, paths = assign(wanted, before, names)
        request = board_pb2.UpdateTaskRequest(
            task=changed, update_mask=FieldMask(paths=paths), base=before, queued=queued, validate_only=dry_run
        )
        written = await carry_out(
            session, client, client.board.update_task, request, no_queue=no_queue, behind=seen.behind
        )
    if written is None:
        return ExitCode.QUEUED
    unchanged = written.version == before.version and not dry_run
    show_written(session.output, written, "unchanged" if unchanged else "set", dry_run)
    if written.open_conflicts > before.open_conflicts:
        session.output.note("a conflict was stored; see `weftmesh task conflicts`")
    return ExitCode.OK


def _said(output: Output, written: board_pb2.Task | None, verb: str, dry_run: bool) -> ExitCode:
    if written is None:
        return ExitCode.QUEUED
    show_written(output, written, verb, dry_run)
    return ExitCode.OK


@command(None, "start")
@click.argument("task")
@dry_run_option
@no_queue_option
async def start(session: Session, task: str, dry_run: bool, no_queue: bool) -> ExitCode:
    """Set TASK in progress; `claim` assigns it to you as well."""
    return await _change(session, task, ("status=doing",), dry_run=dry_run, no_queue=no_queue)


@command(None, "block")
@click.argument("task")
@dry_run_option
@no_queue_option
async def block(session: Session, task: str, dry_run: bool, no_queue: bool) -> ExitCode:
    """Mark TASK as blocked."""
    return await _change(session, task, ("status=blocked",), dry_run=dry_run, no_queue=no_queue)


@command(None, "done")
@click.argument("task")
@dry_run_option
@no_queue_option
async def done(session: Session, task: str, dry_run: bool, no_queue: bool) -> ExitCode:
    """Mark TASK as done."""
    return await _change(session, task, ("status=done",), dry_run=dry_run, no_queue=no_queue)


@command(None, "claim")
@click.argument("task")
@click.option("--for", "assignee", default="", help="Who takes it.  [default: you]")
@dry_run_option
@no_queue_option
async def claim(session: Session, task: str, assignee: str, dry_run: bool, no_queue: bool) -> ExitCode:
    """Take TASK: assign it and set it in progress. Of several who try at once, one gets it."""
    async with session.client() as client:
        name = await task_of(client, task)
        request = board_pb2.ClaimTaskRequest(name=name, assignee=assignee, validate_only=dry_run)
        taken = await carry_out(session, client, client.board.claim_task, request, no_queue=no_queue)
    return _said(session.output, taken, f"claimed for {taken.assignee}" if taken else "", dry_run)


@command(None, "revert")
@click.argument("task")
@click.option("--to", "version", type=click.IntRange(min=1), required=True, help="The version, as `task log` shows it.")
@dry_run_option
@no_queue_option
async def revert(session: Session, task: str, version: int, dry_run: bool, no_queue: bool) -> ExitCode:
    """Set every field of TASK back to what it was at a version; the history keeps both."""
    async with session.client() as client:
        seen = await see(client, task, session.timeout_s)
        request = board_pb2.RevertTaskRequest(
            name=seen.task.name, version=version, etag=seen.task.etag, validate_only=dry_run
        )
        reverted = await carry_out(
            session, client, client.board.revert_task, request, no_queue=no_queue, behind=seen.behind
        )
    return _said(session.output, reverted, f"set back to version {version}", dry_run)


@command(None, "rm")
@click.argument("task")
@dry_run_option
@no_queue_option
async def rm(session: Session, task: str, dry_run: bool, no_queue: bool) -> ExitCode:
    """Delete TASK; `undelete` brings it back."""
    async with session.client() as client:
        seen = await see(client, task, session.timeout_s)
        request = board_pb2.DeleteTaskRequest(name=seen.task.name, etag=seen.task.etag, validate_only=dry_run)
        deleted = await carry_out(
            session, client, client.board.delete_task, request, no_queue=no_queue, behind=seen.behind
        )
    return _said(session.output, deleted, "deleted", dry_run)


@command(None, "undelete")
@click.argument("task")
@dry_run_option
@no_queue_option
async def undelete(session: Session, task: str, dry_run: bool, no_queue: bool) -> ExitCode:
    """Bring the deleted TASK back."""
    async with session.client() as client:
        request = board_pb2.UndeleteTaskRequest(name=await task_of(client, task), validate_only=dry_run)
        back = await carry_out(session, client, client.board.undelete_task, request, no_queue=no_queue)
    return _said(session.output, back, "brought back", dry_run)


@command(None, "resolve")
@click.argument("conflict")
@click.option("--take", "paths", multiple=True, metavar="FIELD", help="Take the waiting value of this field.")
@click.option("--take-all", is_flag=True, help="Take the waiting value of every field.")
@click.option("--keep", is_flag=True, help="Keep what is on the board.")
@dry_run_option
@no_queue_option
async def resolve(
    session: Session, conflict: str, paths: tuple[str, ...], take_all: bool, keep: bool, dry_run: bool, no_queue: bool
) -> ExitCode:
    """Settle CONFLICT, such as PROJ-12/1: the fields of --take get the waiting value, the rest keep the board's."""
    if (bool(paths), take_all, keep).count(True) != 1:
        raise click.UsageError("say which values win: --take FIELD (may be repeated), --take-all or --keep")
    reference, number = conflict_of(conflict)
    async with session.client() as client:
        seen = await see(client, reference, session.timeout_s)
        task = seen.task
        name = f"{task.name}/conflicts/{number}"
        if take_all:
            listed = await client.board.list_conflicts(board_pb2.ListConflictsRequest(parent=task.name))
            paths = tuple(field.path for found in listed.conflicts if found.name == name for field in found.fields)
            if not paths:
                raise InvalidInputError(f"{task.key} has no open conflict {number}; see `weftmesh task conflicts`")
        request = board_pb2.ResolveConflictRequest(name=name, take_yours=paths, validate_only=dry_run)
        resolved = await carry_out(
            session, client, client.board.resolve_conflict, request, no_queue=no_queue, behind=seen.behind
        )
    return _said(session.output, resolved, "settled", dry_run)
