"""What an import needs of a board; the client library implements it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from weftmesh.board.v1 import board_pb2


class BoardGateway(Protocol):
    """A board as an import sees it. Every method may raise WeftmeshError."""

    async def list_projects(self) -> Sequence[board_pb2.Project]:
        """Every project, deleted ones too."""

    async def create_project(self, project_id: str, title: str) -> board_pb2.Project:
        """Makes a project."""

    async def revision(self) -> int:
        """The replicated board's revision, as this node knows it."""

    def list_tasks(self, project_id: str) -> AsyncIterator[board_pb2.Task]:
        """Every task of the project at one revision, deleted ones too; reads what was acknowledged before."""

    async def history(self, names: Sequence[str]) -> Sequence[Sequence[board_pb2.Change]]:
        """Every change of each of the tasks, oldest first."""

    async def task_at(self, name: str, revision: int) -> board_pb2.Task:
        """A task as it was at a revision of its board."""

    async def write(self, requests: Sequence[board_pb2.WriteRequest]) -> Sequence[board_pb2.WriteResponse]:
        """Carries out the writes, at most `importer.BATCH_WRITES`; one answer for each `sequence`, in any order."""
