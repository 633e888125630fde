"""How people name things: PROJ for a project, PROJ-12 or the start of an id for a task, PROJ-12/1 for a conflict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from weftmesh.core.errors import InvalidInputError, NotFoundError
from weftmesh.core.ids import ALL_PROJECTS, check_project_id, is_ulid, project_name, split_key

if TYPE_CHECKING:
    from weftmesh.client import Client

PREFIX_CHARACTERS_MIN: Final = 4
PREFIX_SCAN_TASKS_MAX: Final = 100_000
"""How many tasks a search for an id's beginning reads at most."""
MATCHES_SHOWN_MAX: Final = 5
QUEUE_SEARCHED_MAX: Final = 1_000
"""Queued writes that a search for an id's beginning reads at most."""


def project_of(reference: str) -> str:
    """The resource name for PROJ, proj or projects/PROJ.

    Raises:
        InvalidInputError: it is no project's name.
    """
    return project_name(check_project_id(reference.removeprefix("projects/").upper()))


def parent_of(reference: str | None) -> str:
    """The resource name for a project, or for all of them."""
    return project_of(reference) if reference else ALL_PROJECTS


def key_name(reference: str) -> str | None:
    """The resource name for a key or a full resource name; None when the board has to be searched."""
    if reference.startswith(("projects/", "tasks/")):
        return reference
    key = reference.upper()
    parts = split_key(key)
    return None if parts is None else f"{project_name(parts[0])}/tasks/{key}"


async def task_of(client: Client, reference: str) -> str:
    """The resource name of the task that a person means.

    Raises:
        InvalidInputError: it names no task, or several.
        NotFoundError: no id begins like this.
    """
    return key_name(reference) or await _by_prefix(client, reference)


async def tasks_of(client: Client, references: Iterable[str]) -> dict[str, str]:
    """The resource names of tasks as the board has them, for values that are stored."""
    from weftmesh.board.v1 import board_pb2

    names = {}
    for reference in references:
        request = board_pb2.GetTaskRequest(name=await task_of(client, reference), with_pending=True)
        names[reference] = (await client.board.get_task(request)).name
    return names


def conflict_of(reference: str) -> tuple[str, str]:
    """The task and the number in PROJ-12/1 or a conflict's resource name.

    Raises:
        InvalidInputError: it is neither.
    """
    task, _, number = reference.replace("/conflicts/", "/").rpartition("/")
    if not task or not number.isdigit():
        raise InvalidInputError(
            f"{reference!r} names no conflict; write PROJ-12/1, as `weftmesh task conflicts` shows it"
        )
    return task, number


async def _by_prefix(client: Client, reference: str) -> str:
    prefix = reference.upper()
    if len(prefix) < PREFIX_CHARACTERS_MIN or not prefix.isalnum():
        raise InvalidInputError(
            f"{reference!r} names no task; write its key (PROJ-12), its id, or at least {PREFIX_CHARACTERS_MIN} first "
            "characters of the id"
        )
    matches = []
    seen = 0
    async for task in client.list_tasks(ALL_PROJECTS, show_deleted=True):
        seen += 1
        if task.name.rpartition("/")[2].startswith(prefix):
            matches.append(task)
            if is_ulid(prefix):
                break
        if seen >= PREFIX_SCAN_TASKS_MAX or len(matches) > MATCHES_SHOWN_MAX:
            break
    if not matches and (queued := await _queued_by_prefix(client, prefix)):
        return queued
    if not matches:
        raise NotFoundError(f"no task's id begins with {prefix}; see `weftmesh task ls`")
    if len(matches) > 1:
        keys = ", ".join(task.key for task in matches[:MATCHES_SHOWN_MAX])
        raise InvalidInputError(f"several tasks' ids begin with {prefix}: {keys} …; write more of it, or the key")
    return matches[0].name


async def _queued_by_prefix(client: Client, prefix: str) -> str:
    """The resource name of the task that only this node's queue has; empty unless it is one."""
    from weftmesh.board.v1 import board_pb2

    listed = await client.board.list_queued_writes(board_pb2.ListQueuedWritesRequest(page_size=QUEUE_SEARCHED_MAX))
    names = {write.task for write in listed.writes if write.task.rpartition("/")[2].startswith(prefix)}
    return names.pop() if len(names) == 1 else ""
