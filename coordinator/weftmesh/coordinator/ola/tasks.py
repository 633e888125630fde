"""The task of a breach: one, whoever leads, since its id follows from the breach."""

from __future__ import annotations

import hashlib
import random

from weftmesh.board.v1 import board_pb2
from weftmesh.client.board import BoardApi
from weftmesh.core.encoding import encode
from weftmesh.core.errors import AlreadyExistsError, NotFoundError
from weftmesh.core.ids import new_ulid
from weftmesh.core.ola.model import OpenTask
from weftmesh.core.ola.replicated.rows import Breach

LABEL = "ola-breach"


def task_id(breach: Breach, task: OpenTask) -> str:
    """The ULID of a breach's task: of the time when it began, and of what it is about."""
    text = encode("weftmesh ola breach", breach.name, breach.objective, breach.started_s, task.project, task.title)
    digest = hashlib.sha256(text).digest()
    return new_ulid(breach.started_s * 1_000, random.Random(int.from_bytes(digest, "big")))  # noqa: S311, no secret


async def open_task(board: BoardApi, breach: Breach, task: OpenTask) -> bool:
    """Open the task of a breach; whether it was not there before.

    Raises:
        WeftmeshError: the board refused it; of a project that is not there, NotFoundError.
    """
    request = board_pb2.CreateTaskRequest(
        parent=f"projects/{task.project}",
        task_id=task_id(breach, task),
        task=board_pb2.Task(
            title=task.title,
            description=f"{breach.name} {breach.objective}: {breach.evidence}",
            labels=[LABEL],
        ),
    )
    try:
        await board.create_task(request)
    except AlreadyExistsError:
        return False
    return True


async def close_task(board: BoardApi, breach: Breach, task: OpenTask, evidence: str) -> bool:
    """Close the task of a breach with the evidence; whether it was open.

    Raises:
        WeftmeshError: the board refused it. A task or project that is gone is none.
    """
    name = f"projects/{task.project}/tasks/{task_id(breach, task)}"
    try:
        present = await board.get_task(board_pb2.GetTaskRequest(name=name))
    except NotFoundError:
        return False
    if present.status in (board_pb2.TASK_STATUS_DONE, board_pb2.TASK_STATUS_CANCELLED):
        return False
    closed = board_pb2.Task(
        name=name,
        etag=present.etag,
        status=board_pb2.TASK_STATUS_DONE,
        description=f"{present.description}\n\n{evidence}",
    )
    request = board_pb2.UpdateTaskRequest(task=closed)
    request.update_mask.paths.extend(["status", "description"])
    await board.update_task(request)
    return True
