"""The board as imports and exports see it, over a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from weftmesh.board.v1 import board_pb2
from weftmesh.client.client import Client
from weftmesh.client.errors import first_error, is_retryable
from weftmesh.client.limits import PAGE_SIZE
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.ids import project_name
from weftmesh.runtime.rpc import to_write_failed

WRITE_TIMEOUT_S: Final = 60.0
"""For one write of a large import, through an election if need be."""


READS_IN_FLIGHT: Final = 32
"""Histories asked for at a time."""


class ClientGateway:
    """Implements `exchange.gateway.BoardGateway`."""

    def __init__(self, client: Client, *, timeout_s: float = WRITE_TIMEOUT_S) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def list_projects(self) -> Sequence[board_pb2.Project]:
        """Every project, deleted ones too."""
        request = board_pb2.ListProjectsRequest(
            page_size=PAGE_SIZE, show_deleted=True, consistency=board_pb2.READ_CONSISTENCY_LINEARIZABLE
        )
        projects: list[board_pb2.Project] = []
        while True:
            page = await self._client.board.list_projects(request, timeout_s=self._timeout_s)
            projects.extend(page.projects)
            if not page.next_page_token:
                return projects
            request.page_token = page.next_page_token

    async def create_project(self, project_id: str, title: str) -> board_pb2.Project:
        """Make a project, replicated."""
        request = board_pb2.CreateProjectRequest(project_id=project_id, project=board_pb2.Project(title=title))
        return await self._client.board.create_project(request, timeout_s=self._timeout_s)

    async def revision(self) -> int:
        """The replicated board's revision, as this node knows it."""
        status = await self._client.mesh.get_status()
        return int(status.revision)

    async def history(self, names: Sequence[str]) -> Sequence[Sequence[board_pb2.Change]]:
        """Every change of each of the tasks, oldest first; asks for several at a time."""
        found: dict[str, list[board_pb2.Change]] = {}
        waiting = iter(names)

        async def ask() -> None:
            for name in waiting:
                found[name] = await self._history_of(name)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(READS_IN_FLIGHT, len(names))):
                    group.create_task(ask())
        except* WeftmeshError as errors:
            raise first_error(errors) from errors
        return [found[name] for name in names]

    async def _history_of(self, name: str) -> list[board_pb2.Change]:
        request = board_pb2.ListTaskHistoryRequest(name=name, page_size=PAGE_SIZE)
        changes: list[board_pb2.Change] = []
        while True:
            page = await self._client.board.list_task_history(request, timeout_s=self._timeout_s)
            changes.extend(page.changes)
            if not page.next_page_token:
                return changes
            request.page_token = page.next_page_token

    async def task_at(self, name: str, revision: int) -> board_pb2.Task:
        """A task as it was at a revision of its board."""
        request = board_pb2.GetTaskRequest(name=name, at_revision=revision)
        return await self._client.board.get_task(request, timeout_s=self._timeout_s)

    def list_tasks(self, project_id: str) -> AsyncIterator[board_pb2.Task]:
        """Every task of the project at one revision, deleted ones too; reads what was acknowledged before."""
        return self._client.list_tasks(
            project_name(project_id),
            show_deleted=True,
            consistency=board_pb2.READ_CONSISTENCY_LINEARIZABLE,
            timeout_s=self._timeout_s,
        )

    async def write(self, requests: Sequence[board_pb2.WriteRequest]) -> Sequence[board_pb2.WriteResponse]:
        """Carry out the writes; one answer for each `sequence`.

        Raises:
            WeftmeshError: the outcome of a write is not known, or the node cannot be reached.
        """
        results = await self._client.write_many(requests, timeout_s=self._timeout_s)
        return [_response(request.sequence, result) for request, result in zip(requests, results, strict=True)]


def _response(sequence: int, result: board_pb2.WriteApplied | WeftmeshError) -> board_pb2.WriteResponse:
    if isinstance(result, board_pb2.WriteApplied):
        return board_pb2.WriteResponse(sequence=sequence, applied=result)
    if is_retryable(result):
        raise result
    return board_pb2.WriteResponse(sequence=sequence, failed=to_write_failed(result))
