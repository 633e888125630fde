"""The writing half of an import: a plan's writes in batches, several at a time, each under the import's mark."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import grpc

from weftmesh.board.v1 import board_pb2
from weftmesh.client.errors import first_error
from weftmesh.client.exchange.gateway import BoardGateway
from weftmesh.client.exchange.messages import create_request, restore_request, update_request
from weftmesh.core.errors import AlreadyExistsError, WeftmeshError
from weftmesh.core.exchange.planned import ImportPlan, PlannedCreate, PlannedRestore, PlannedUpdate
from weftmesh.core.exchange.problems import Problem, shorten
from weftmesh.core.exchange.tokens import ImportToken

BATCH_WRITES: Final = 256
BATCHES_IN_FLIGHT: Final = 4
_ALREADY_EXISTS: Final[int] = grpc.StatusCode.ALREADY_EXISTS.value[0]

Progress = Callable[[int, int], None]
"""Called with (writes answered, writes in all)."""

Planned = PlannedCreate | PlannedRestore | PlannedUpdate


async def write_batches(
    gateway: BoardGateway,
    requests: Sequence[board_pb2.WriteRequest],
    on_answers: Callable[[dict[int, board_pb2.WriteResponse]], None],
) -> None:
    """Carries out the writes, in no fixed order; the first error of a batch ends all of them.

    Args:
        gateway: the board.
        requests: their `sequence` is set here.
        on_answers: called for each batch, with the answers by the place of the write.

    Raises:
        WeftmeshError: the outcome of some writes is not known.
    """

    async def work(starts: Iterator[int]) -> None:
        for start in starts:
            batch = requests[start : start + BATCH_WRITES]
            for sequence, request in enumerate(batch):
                request.sequence = sequence
            on_answers({start + answer.sequence: answer for answer in await gateway.write(batch)})

    starts = iter(range(0, len(requests), BATCH_WRITES))
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(BATCHES_IN_FLIGHT):
                group.create_task(work(starts))
    except* WeftmeshError as errors:
        raise first_error(errors) from errors


class ImportRun:
    """Projects, then creates and restores, then updates, so that references find what they name.

    Attributes:
        created: tasks made.
        restored: tasks brought back.
        updated: tasks changed.
        unchanged: tasks that said so already when the write arrived.
        refused: writes that the board refused.
    """

    def __init__(
        self, gateway: BoardGateway, file: str, plan: ImportPlan, token: ImportToken, on_progress: Progress
    ) -> None:
        self.created = 0
        self.restored = 0
        self.updated = 0
        self.unchanged = 0
        self.refused: list[Problem] = []
        self._gateway = gateway
        self._file = file
        self._plan = plan
        self._token = token
        self._on_progress = on_progress
        self._total = len(plan.create) + len(plan.restore) + len(plan.update)
        self._done = 0
        self._missing: set[str] = set()
        """Tasks that could not be made: what would complete them is left out."""

    async def carry_out(self) -> None:
        """Write everything.

        Raises:
            WeftmeshError: the outcome of some writes is not known.
        """
        for project in self._plan.projects_to_create:
            with contextlib.suppress(AlreadyExistsError):  # one that somebody made meanwhile will do
                await self._gateway.create_project(project.id, project.title)
        await self._write([*self._plan.create, *self._plan.restore])
        await self._write([update for update in self._plan.update if update.name not in self._missing])

    async def _write(self, planned: Sequence[Planned]) -> None:
        requests = [self._request(one) for one in planned]

        def on_answers(answers: dict[int, board_pb2.WriteResponse]) -> None:
            for place, answer in sorted(answers.items()):
                self._count(planned[place], answer)
            self._done += len(answers)
            self._on_progress(self._done, self._total)

        await write_batches(self._gateway, requests, on_answers)

    def _request(self, planned: Planned) -> board_pb2.WriteRequest:
        match planned:
            case PlannedCreate():
                return create_request(planned, self._token)
            case PlannedRestore():
                return restore_request(planned, self._token)
        return update_request(planned, self._token)

    def _count(self, planned: Planned, answer: board_pb2.WriteResponse) -> None:
        applied = answer.WhichOneof("result") == "applied"
        if isinstance(planned, PlannedCreate) and not applied and answer.failed.code == _ALREADY_EXISTS:
            # Another run of the same import was faster; the next one compares what it made.
            self.unchanged += 1
        elif not applied:
            self._refuse(planned, answer.failed.message)
        elif isinstance(planned, PlannedCreate):
            self.created += 1
        elif isinstance(planned, PlannedRestore):
            self.restored += 1
        elif not planned.of_new:
            self.unchanged += answer.applied.unchanged
            self.updated += not answer.applied.unchanged

    def _refuse(self, planned: Planned, message: str) -> None:
        if isinstance(planned, PlannedCreate):
            self._missing.add(f"projects/{planned.project_id}/tasks/{planned.task_id}")
        elif isinstance(planned, PlannedRestore):
            self._missing.add(planned.name)
        fix = "correct the row or the task and import again"
        self.refused.append(Problem(self._file, planned.line, "", shorten(planned.origin), message, fix))
