"""ListCycleTimes: how long a project's tasks took, for the learner of this node; it needs no text for that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

from weftmesh.agent.board.homes import Homes
from weftmesh.agent.learning.finish_rows import TASKS_NEWEST, board_task
from weftmesh.agent.learning.team_cache import relevant_tasks
from weftmesh.core.board.model import Task
from weftmesh.learning.v1 import learning_pb2

PART_TASKS: Final = 200
"""Tasks in one message, and in one turn of the event loop."""


class CycleTimes:
    """Reads them from the boards of this node."""

    def __init__(self, homes: Homes) -> None:
        self._homes = homes

    async def parts(self, request: learning_pb2.ListCycleTimesRequest) -> AsyncIterator[learning_pb2.CycleTimes]:
        """The newest TASKS_NEWEST tasks of a project, in the order in which they came to the board.

        Raises:
            PreconditionError: the project lives on another node.
        """
        board = self._homes.of_project(request.project_id).board
        tasks = await relevant_tasks(board, request.project_id, lambda _: True, TASKS_NEWEST)
        for begin in range(0, len(tasks), PART_TASKS):
            yield _part(tasks[begin : begin + PART_TASKS], request.as_of_s)
            await asyncio.sleep(0)


def _part(tasks: Iterable[Task], as_of_s: float) -> learning_pb2.CycleTimes:
    part = learning_pb2.CycleTimes()
    for task in tasks:
        row = board_task(task, as_of_s)
        if row is not None:
            part.tasks.add(
                created_s=row.times.created_s,
                resolved_s=row.times.resolved_s,
                kind=row.kind,
                title_characters=row.title_characters,
                description_characters=row.description_characters,
            )
    return part
