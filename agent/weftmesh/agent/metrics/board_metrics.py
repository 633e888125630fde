"""The board: how much there is, what became of writes, and how soon watchers see them. No name of anything is told."""

from __future__ import annotations

from typing import Final

from weftmesh.agent.board.homes import MESH, Homes
from weftmesh.agent.board.service import BoardServicer
from weftmesh.agent.board.sync_meter import PROMISE_MS, SyncMeter
from weftmesh.agent.offline.queue import WriteQueue
from weftmesh.core.board.outcomes import SUCCESS
from weftmesh.runtime.metrics.model import Exposition, Kind, Metric

REVISION: Final = Metric("weftmesh_board_revision", Kind.GAUGE, "The board's revision.", labels=("home",))
TASKS: Final = Metric("weftmesh_board_tasks", Kind.GAUGE, "Tasks that are not deleted.", labels=("home",))
PROJECTS: Final = Metric("weftmesh_board_projects", Kind.GAUGE, "Projects, deleted ones too.", labels=("home",))
ACKNOWLEDGED: Final = Metric(
    "weftmesh_writes_acknowledged",
    Kind.COUNTER,
    "Writes whose callers on this node were told of success.",
    labels=("home", "outcome"),
)
REFUSED: Final = Metric(
    "weftmesh_writes_refused",
    Kind.COUNTER,
    "Writes whose callers on this node were told why not.",
    labels=("home", "reason"),
)
WAITING: Final = Metric(
    "weftmesh_writes_waiting", Kind.GAUGE, "Writes that wait to enter an entry of the log.", labels=("home",)
)
COMMIT_LATENCY: Final = Metric(
    "weftmesh_commit_latency_seconds",
    Kind.HISTOGRAM,
    "From an entry's proposal here to its being applied here.",
    "seconds",
    ("home",),
)
SYNC_LATENCY: Final = Metric(
    "weftmesh_sync_latency_seconds",
    Kind.HISTOGRAM,
    "From a commit on the leader to the watchers of this node; between machines it has their clocks' difference in it.",
    "seconds",
)
SYNC_PROMISE: Final = Metric(
    "weftmesh_sync_promise_seconds", Kind.GAUGE, "What the 99th percentile of that is to stay below.", "seconds"
)
WATCHERS: Final = Metric("weftmesh_watchers", Kind.GAUGE, "Watch calls that are open.")
WATCHERS_MAX: Final = Metric("weftmesh_watchers_max", Kind.GAUGE, "How many may be: [limits] watchers.")
QUEUED: Final = Metric("weftmesh_offline_queued_writes", Kind.GAUGE, "Writes that wait on this node for a quorum.")
QUEUE_REFUSED: Final = Metric(
    "weftmesh_offline_refused_writes", Kind.GAUGE, "Queued writes that the board refused; a person has to decide."
)
QUEUE_DAMAGED: Final = Metric(
    "weftmesh_offline_damaged_parts", Kind.GAUGE, "Parts of the queue's file that could not be read and lie set aside."
)
BOARD_METRICS: Final = (
    *(REVISION, TASKS, PROJECTS, ACKNOWLEDGED, REFUSED, WAITING, COMMIT_LATENCY, SYNC_LATENCY, SYNC_PROMISE),
    *(WATCHERS, WATCHERS_MAX, QUEUED, QUEUE_REFUSED, QUEUE_DAMAGED),
)
NODE_HOME: Final = "node"
"""In the place of `node:NAME`: the series belongs to a node anyway."""


class BoardCollector:
    """Reads both boards of a node."""

    def __init__(self, homes: Homes, servicer: BoardServicer, queue: WriteQueue, meter: SyncMeter) -> None:
        self._homes = homes
        self._servicer = servicer
        self._queue = queue
        self._meter = meter

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        for home in self._homes.all():
            name, board, writes = MESH if home.name == MESH else NODE_HOME, home.board, home.writer.meter
            out.add(REVISION, board.revision, name)
            out.add(TASKS, board.task_count, name)
            out.add(PROJECTS, board.project_count, name)
            out.add(WAITING, home.writer.pending, name)
            out.add(COMMIT_LATENCY, writes.entry_times, name)
            for kind, count in writes.answered.items():
                out.add(ACKNOWLEDGED if kind in SUCCESS else REFUSED, count, name, kind.name.lower())
            for reason, count in writes.failed.items():
                out.add(REFUSED, count, name, reason.lower())
        out.add(SYNC_LATENCY, self._meter.times)
        out.add(SYNC_PROMISE, PROMISE_MS / 1000)
        out.add(WATCHERS, self._servicer.watchers)
        out.add(WATCHERS_MAX, self._servicer.watchers_max)
        refused = self._queue.refused_count
        out.add(QUEUED, len(self._queue) - refused)
        out.add(QUEUE_REFUSED, refused)
        out.add(QUEUE_DAMAGED, self._queue.damaged_parts)
