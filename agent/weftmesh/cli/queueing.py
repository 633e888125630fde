"""Writes of the command line: tried first, and queued on the node when there is no quorum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.encoding import to_json
from weftmesh.cli.output import Output
from weftmesh.cli.references import task_of
from weftmesh.cli.session import Session
from weftmesh.cli.shut_out import why_shut_out
from weftmesh.client import Client
from weftmesh.client.requests import prepared
from weftmesh.core.errors import NoQuorumError, NotFoundError, UnknownOutcomeError, WeftmeshError
from weftmesh.core.ids import parse_project_name

ATTEMPT_SHARE: Final = 0.5
"""Of the time for a call: how long a write waits for a quorum before it is queued. An election takes some seconds."""
PAGE_SIZE: Final = 1_000
MESH_IS_BACK: Final = "the mesh is back"
WARNING: Final = "yellow"
_WHY: Final[dict[type[WeftmeshError], str]] = {
    NoQuorumError: "no quorum",
    UnknownOutcomeError: "no majority answered in time",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A task as its writer sees it."""

    task: board_pb2.Task
    behind: bool
    """Writes to it wait on this node, and the next one has to go behind them."""


async def see(client: Client, reference: str, timeout_s: float) -> Seen:
    """The task that a person means, with what this node has queued for it.

    Raises:
        NotFoundError: neither the board nor the queue has it.
    """
    name = await task_of(client, reference)
    try:
        task = await client.board.get_task(board_pb2.GetTaskRequest(name=name), timeout_s=timeout_s)
    except NotFoundError:
        queued = board_pb2.GetTaskRequest(name=name, with_pending=True)
        return Seen(await client.board.get_task(queued, timeout_s=timeout_s), behind=True)
    if not task.pending_writes or not await _any_waits(client, task.name, timeout_s):
        return Seen(task, behind=False)
    queued = board_pb2.GetTaskRequest(name=task.name, with_pending=True)
    return Seen(await client.board.get_task(queued, timeout_s=timeout_s), behind=True)


async def _any_waits(client: Client, name: str, timeout_s: float) -> bool:
    listed = await client.board.list_queued_writes(board_pb2.ListQueuedWritesRequest(parent=name), timeout_s=timeout_s)
    return any(write.state != board_pb2.QUEUED_WRITE_STATE_FAILED for write in listed.writes)


async def _project_waits(client: Client, name: str, timeout_s: float) -> bool:
    """Whether a write to the project itself waits, which one that is sent now would overtake."""
    request = board_pb2.ListQueuedWritesRequest(parent=name, page_size=PAGE_SIZE)
    while True:
        listed = await client.board.list_queued_writes(request, timeout_s=timeout_s)
        if any(not one.task and one.state != board_pb2.QUEUED_WRITE_STATE_FAILED for one in listed.writes):
            return True
        request.page_token = listed.next_page_token
        if not request.page_token:
            return False


@dataclass(frozen=True, slots=True)
class Queued:
    """A write that the node keeps."""

    write: board_pb2.QueuedWrite
    why: str
    until: str


async def carry_out(
    session: Session, client: Client, call: Callable[..., Any], request: Any, *, no_queue: bool, behind: bool = False
) -> board_pb2.Task | None:
    """Write to a task, or queue the write; None when it was queued, which has been said then.

    Args:
        session: says how long it may take.
        client: of the node.
        call: the method of `client.board` for the request.
        request: a write.
        no_queue: fail rather than queue.
        behind: queue without an attempt.

    Raises:
        NoQuorumError: this node is no member any more, so that what is queued here would never be replayed.
        UnknownOutcomeError: so it is, and the write may have been applied before.
        WeftmeshError: the write was refused.
    """
    written: board_pb2.Task | Queued = await _written_or_queued(
        session, client, call, request, no_queue=no_queue, behind=behind
    )
    if not isinstance(written, Queued):
        return written
    if written.write.state == board_pb2.QUEUED_WRITE_STATE_APPLIED:
        return await client.board.get_task(board_pb2.GetTaskRequest(name=written.write.applied.name))
    _show_queued(session.output, written, written.write.task)
    return None


async def carry_out_project(
    session: Session, client: Client, call: Callable[..., Any], request: Any, *, no_queue: bool
) -> board_pb2.Project | None:
    """Write to a project, or queue the write, behind those to it that wait already; as `carry_out`."""
    name = _project_of(request) or f"projects/{request.project_id}"
    may_wait = not (no_queue or request.validate_only)
    behind = may_wait and await _project_waits(client, name, session.timeout_s)
    written: board_pb2.Project | Queued = await _written_or_queued(
        session, client, call, request, no_queue=no_queue, behind=behind
    )
    if not isinstance(written, Queued):
        return written
    if written.write.state == board_pb2.QUEUED_WRITE_STATE_APPLIED:
        return await client.board.get_project(board_pb2.GetProjectRequest(name=written.write.applied.name))
    _show_queued(session.output, written, parse_project_name(written.write.project))
    return None


async def _written_or_queued(
    session: Session, client: Client, call: Callable[..., Any], request: Any, *, no_queue: bool, behind: bool = False
) -> Any:
    """What `call` returns, or the write in the queue."""
    if no_queue or request.validate_only:
        return await call(request, timeout_s=session.timeout_s)
    # The attempt and the queue have to send the very same request.
    request = prepared(request)
    what = "project" if request.DESCRIPTOR.name.endswith("ProjectRequest") else "task"
    why, until = f"earlier writes to this {what} wait", MESH_IS_BACK
    if not behind:
        try:
            return await call(request, timeout_s=session.timeout_s * ATTEMPT_SHARE)
        except NotFoundError:
            project = _project_of(request)
            if not project or not await _any_waits(client, project, session.timeout_s):
                raise
            why = "its project waits"
        except (NoQuorumError, UnknownOutcomeError) as error:
            why = _WHY[type(error)]
            turned_away = await why_shut_out(client, session.timeout_s)
            if turned_away is not None:
                if turned_away.for_good:
                    raise turned_away.error(error) from error
                why, until = turned_away.message, f"{turned_away.node} is let in again"
    return Queued(await client.board.queue_write(request, timeout_s=session.timeout_s), why, until)


def _project_of(request: Any) -> str:
    """The project that has to be there for a write; empty for one that makes it, or is about a task that is there."""
    match request:
        case board_pb2.CreateTaskRequest():
            return str(request.parent)
        case board_pb2.UpdateProjectRequest():
            return str(request.project.name)
        case board_pb2.DeleteProjectRequest() | board_pb2.UndeleteProjectRequest():
            return str(request.name)
    return ""


def _show_queued(output: Output, queued: Queued, name: str) -> None:
    """Say where the write is: what it writes to goes to stdout, so that a script has it, the rest to people."""
    if output.as_json:
        output.json({"queued": to_json(queued.write)})
        return
    output.data(name)
    node = queued.write.actor.rpartition("@")[2]
    output.error(
        f"{queued.why}: queued on {node} as {queued.write.name}; it is replayed when {queued.until} (see `weftmesh "
        "pending ls`)",
        style=WARNING,
    )
