"""`weftmesh pending`: writes that wait on this node for a quorum, and those that their replay refused."""

from __future__ import annotations

from typing import Any, Final

import click

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.encoding import enum_word, to_json
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.output import Output
from weftmesh.cli.references import key_name, project_of
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.cli.text import time_text
from weftmesh.client import Client
from weftmesh.core.errors import InvalidInputError, NotFoundError
from weftmesh.runtime.rpc import error_from_write_failed

NAME_PREFIX: Final = "queuedWrites/"
PAGE_SIZE: Final = 1_000
PAGES_MAX: Final = 100
COLUMNS: Final = (
    Column("ID"),
    Column("TIME"),
    Column("WHO"),
    Column("STATE"),
    Column("WRITE"),
    Column("TO", flexible=True),
    Column("WHAT", flexible=True),
)


@click.group()
def pending() -> None:
    """Writes that wait on this node for a quorum."""


@command(pending, "ls")
@click.argument("what", required=False, metavar="[PROJECT|TASK]")
@click.option("--applied", is_flag=True, help="The latest ones that were applied, too.")
async def list_(session: Session, what: str | None, applied: bool) -> None:
    """List what is queued on this node, in the order it is replayed; of one project or one task if named.

    A write that was refused when it was replayed stays here until it is retried or discarded.
    """
    async with session.client() as client:
        listed = await queued_writes(client, _parent(what), session.timeout_s, show_applied=applied)
    if session.output.as_json:
        writes = [to_json(write) for write in listed.writes]
        session.output.json({"writes": writes, "damaged_parts": listed.damaged_parts})
        return
    show_queue(session.output, list(listed.writes))
    if listed.damaged_parts:
        session.output.error(
            f"{listed.damaged_parts} parts of the queue's file could not be read; the node's log says where they are"
        )
    if any(write.state == board_pb2.QUEUED_WRITE_STATE_FAILED for write in listed.writes):
        session.output.note(
            "failed: `weftmesh pending retry ID` when the cause is gone, or `weftmesh pending discard ID`"
        )


@command(pending, "retry")
@click.argument("write", metavar="ID")
@dry_run_option
async def retry(session: Session, write: str, dry_run: bool) -> None:
    """Put the refused write ID at the end of the queue again. The first characters of an ID do."""
    async with session.client() as client:
        name = await _name_of(client, write, session.timeout_s)
        request = board_pb2.RetryQueuedWriteRequest(name=name, validate_only=dry_run)
        retried = await client.board.retry_queued_write(request, timeout_s=session.timeout_s)
    _show_one(session.output, retried, "would be retried" if dry_run else "waits again", dry_run)


@command(pending, "discard")
@click.argument("write", metavar="ID")
@dry_run_option
async def discard(session: Session, write: str, dry_run: bool) -> None:
    """Take the write ID out of the queue for good. The first characters of an ID do.

    What was in it is shown once more, and kept in the node's log but for its text.
    """
    async with session.client() as client:
        name = await _name_of(client, write, session.timeout_s)
        request = board_pb2.DiscardQueuedWriteRequest(name=name, validate_only=dry_run)
        gone = await client.board.discard_queued_write(request, timeout_s=session.timeout_s)
    _show_one(session.output, gone, "would be discarded" if dry_run else "was discarded", dry_run)
    if gone.attempts and gone.state != board_pb2.QUEUED_WRITE_STATE_FAILED:
        session.output.error("it had been sent to the mesh without an answer, and may still be applied", style="yellow")


async def queued_writes(
    client: Client, parent: str, timeout_s: float, *, show_applied: bool = False
) -> board_pb2.ListQueuedWritesResponse:
    """The whole queue, or what of it concerns a project or a task."""
    request = board_pb2.ListQueuedWritesRequest(parent=parent, page_size=PAGE_SIZE, show_applied=show_applied)
    found = await client.board.list_queued_writes(request, timeout_s=timeout_s)
    for _ in range(PAGES_MAX):
        if not found.next_page_token:
            break
        request.page_token = found.next_page_token
        page = await client.board.list_queued_writes(request, timeout_s=timeout_s)
        found.next_page_token = page.next_page_token
        found.writes.extend(page.writes)
    return found


def show_queue(output: Output, writes: list[board_pb2.QueuedWrite]) -> None:
    """Print queued writes, a line for each."""
    output.table(COLUMNS, [_row(write) for write in writes])


def _row(write: board_pb2.QueuedWrite) -> list[str]:
    kind = str(write.write.WhichOneof("write") or "")
    return [
        write.name.removeprefix(NAME_PREFIX),
        time_text(write.queue_time),
        write.actor,
        enum_word(board_pb2.QueuedWriteState.DESCRIPTOR, write.state),
        kind.replace("_", " "),
        write.task or write.project,
        _what(write, kind),
    ]


def _what(write: board_pb2.QueuedWrite, kind: str) -> str:
    """What it asks for, or what became of it."""
    if write.HasField("error"):
        return f"{error_from_write_failed(write.error)}"
    if write.stored_conflict:
        return f"a part waits as a conflict: {write.stored_conflict}"
    if write.HasField("applied"):
        return f"{write.applied.key or write.applied.name}, revision {write.applied.revision}"
    request: Any = getattr(write.write, kind) if kind else None
    if isinstance(request, board_pb2.CreateTaskRequest):
        return request.task.title
    if isinstance(request, board_pb2.UpdateTaskRequest):
        return ", ".join(request.update_mask.paths) or request.task.title
    return ""


def _show_one(output: Output, write: board_pb2.QueuedWrite, became: str, dry_run: bool) -> None:
    if output.as_json:
        output.json({"write": to_json(write), "dry_run": dry_run})
        return
    show_queue(output, [write])
    output.note(f"{write.name} {became}")


def _parent(what: str | None) -> str:
    if what is None:
        return ""
    return key_name(what) or project_of(what)


async def _name_of(client: Client, reference: str, timeout_s: float) -> str:
    """The resource name of the one write whose id begins like this.

    Raises:
        NotFoundError: none does.
        InvalidInputError: several do.
    """
    prefix = reference.removeprefix(NAME_PREFIX).upper()
    listed = await queued_writes(client, "", timeout_s)
    names = [write.name for write in listed.writes if write.name.removeprefix(NAME_PREFIX).startswith(prefix)]
    if not names:
        raise NotFoundError(f"no queued write's id begins with {prefix}; see `weftmesh pending ls`")
    if len(names) > 1:
        raise InvalidInputError(f"{len(names)} queued writes' ids begin with {prefix}; write more of it")
    return names[0]
