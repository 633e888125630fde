"""The replicated board with this node's queue laid over it, made when somebody asks and kept while it is true."""

from __future__ import annotations

from weftmesh.agent.homes import Home
from weftmesh.agent.offline.queue import WriteQueue
from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.draft import Draft
from weftmesh.core.board.machine import Board
from weftmesh.core.board.model import Task
from weftmesh.core.ids import TaskRef
from weftmesh.runtime.wire.resources import etag_of, task_message


class Overlay:
    """Waiting writes over one board. Refused ones are not laid: what they asked for will not happen by itself."""

    def __init__(self, home: Home, queue: WriteQueue) -> None:
        self._home = home
        self._queue = queue
        self._draft: Draft | None = None
        self._made_of: tuple[Board, int, int] | None = None
        self._laid_to = 0

    def draft(self) -> Draft:
        """The board as it will be when the queue is replayed, if nobody else writes."""
        board = self._home.board
        made_of = (board, board.revision, self._queue.generation)
        if self._draft is None or self._made_of != made_of:
            self._draft, self._made_of, self._laid_to = Draft(board), made_of, 0
        for entry in self._queue.waiting_after(self._laid_to):
            self._draft.lay(entry.command)
            self._laid_to = entry.place
        return self._draft

    def find_task(self, ref: TaskRef) -> Task | None:
        """A task with the queue laid over it. Keys are those of the board: what is only queued has none yet."""
        known = self._home.find_task(ref)
        task_id = known.id if known is not None else ref.task_id
        return self.draft().find_task(task_id) if task_id else None

    def message(self, task: Task) -> board_pb2.Task:
        """`task`, one of `find_task`, as callers see it: with the key and the version that the board has."""
        draft, known = self.draft(), self._home.board.find_task(task.id)

        def project_of(task_id: str) -> str:
            other = draft.find_task(task_id)
            return other.project_id if other is not None else "-"

        message = task_message(task, project_of)
        message.key = known.key if known is not None else ""
        message.version = known.version if known is not None else 0
        message.revision = known.revision if known is not None else 0
        message.etag = etag_of(message.version)
        message.open_conflicts = len(known.conflicts) if known is not None else 0
        message.pending_writes = self._queue.count_of(task.id)
        return message
