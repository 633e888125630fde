"""The replicated board with this node's queue laid over it, as far as somebody looks."""

from __future__ import annotations

from collections.abc import Iterable

from weftmesh.agent.board.homes import Home
from weftmesh.agent.offline.queue import WriteQueue
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.draft import Draft
from weftmesh.core.board.model import Task
from weftmesh.core.ids import TaskRef
from weftmesh.runtime.wire.resources import etag_of, task_message


class Overlay:
    """Waiting writes over one board. Refused ones are not laid: what they asked for will not happen by itself."""

    def __init__(self, home: Home, queue: WriteQueue) -> None:
        self._home = home
        self._queue = queue

    def draft(self, ids: Iterable[str]) -> Draft:
        """The board as it will be when the queue is replayed, if nobody else writes; of use until either changes.

        Args:
            ids: of the tasks and projects that matter; writes to others are not laid.
        """
        draft = Draft(self._home.board)
        for entry in self._queue.waiting_for(ids):
            draft.lay(entry.command)
        return draft

    def id_of(self, ref: TaskRef) -> str:
        """The id of a task of the board or of the queue; empty if neither has it in the project that its name says.

        What is only queued has no key.
        """
        known = self._home.find_task(ref)
        if known is not None:
            return known.id
        return ref.task_id if self._queue.project_of(ref.task_id) == ref.project_id else ""

    def project_of(self, task_id: str) -> str:
        """The project of a task of the board or of the queue; empty if neither has it."""
        known = self._home.board.find_task(task_id)
        return known.project_id if known is not None else self._queue.project_of(task_id)

    def task(self, task_id: str) -> Task | None:
        """A task with the queue laid over it."""
        return self.draft((task_id,)).find_task(task_id)

    def message(self, task: Task) -> board_pb2.Task:
        """`task` as callers see it: with the key and the version that the board has."""
        known = self._home.board.find_task(task.id)
        message = task_message(task, lambda task_id: self.project_of(task_id) or "-")
        message.key = known.key if known is not None else ""
        message.version = known.version if known is not None else 0
        message.revision = known.revision if known is not None else 0
        message.etag = etag_of(message.version)
        message.open_conflicts = len(known.conflicts) if known is not None else 0
        message.pending_writes = self._queue.count_of(task.id)
        return message
