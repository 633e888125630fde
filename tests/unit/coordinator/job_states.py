"""Job states for tests: made by the real machine, shown as a node shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any

from weftmesh.coordinator.registry import ROUNDS, VIEW_LIMIT, JobState, read_job
from weftmesh.core.board.commands import Header
from weftmesh.core.clock import ms_to_stamp
from weftmesh.core.learning import commands
from weftmesh.core.learning.machine import Learning
from weftmesh.core.learning.model import AbandonCause, Coordinator, HeadSums, Job, Metric, NoisePolicy, RoundKind
from weftmesh.core.learning.moments import latest
from weftmesh.learning.v1.learning_pb2 import JobSpec
from weftmesh.runtime.wire.learning_views import learning_view

JOB = "effort"
NODES = ("node1", "node2", "node3")
NOW_S = 1_800_000_000.0


@dataclass
class JobLog:
    """A learning machine with one job, and the commands of its coordinators."""

    spec: JobSpec
    interval_s: int = 0
    noise: NoisePolicy | None = None
    now_s: float = NOW_S
    term: int = 1
    node: str = "node1"
    contributors: tuple[str, ...] = NODES
    machine: Learning = field(default_factory=Learning)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.apply(
            commands.DefineJob,
            spec=self.spec.SerializeToString(),
            contributors_floor=3,
            threshold_percent=60,
            interval_s=self.interval_s,
            noise=self.noise,
        )

    def apply(self, command: Any, /, **values: Any) -> int:
        """Apply a command; the current version in its outcome."""
        header = Header("ann@node1", ms_to_stamp(int(self.now_s * 1_000)), next(self._ids).to_bytes(16, "big"), 1)
        outcome, _ = self.machine.apply(command(header=header, job=JOB, **values))
        assert outcome.ok, outcome
        return outcome.current_version

    def by_coordinator(self, command: Any, /, **values: Any) -> int:
        """Apply a command of the coordinator that leads."""
        return self.apply(command, coordinator=Coordinator(self.node, self.term), **values)

    @property
    def job(self) -> Job:
        """Its row."""
        job = self.machine.job(JOB)
        assert job is not None
        return job

    def state(self) -> JobState:
        """As a node shows it."""
        view = learning_view(self.machine, JOB, VIEW_LIMIT)
        view.contributors.extend(self.contributors)
        state = read_job(view, JOB)
        assert state is not None
        return state

    def add(self, rounds: int | None = None, round_id: bytes = b"", parent: int = 0) -> int:
        """Add a version: a seed, or a model with so many rounds behind it."""
        metrics = () if rounds is None else (Metric(ROUNDS, float(rounds)),)
        digest = sha256(f"{next(self._ids)}".encode()).digest()
        return self.by_coordinator(
            commands.AddVersion,
            sha256=digest,
            size_bytes=100,
            blob_holders=2,
            metrics=metrics,
            round_id=round_id,
            parent=parent,
        )

    def open(self, kind: RoundKind, base: int) -> bytes:
        """Open a round."""
        round_id = next(self._ids).to_bytes(16, "big")
        self.by_coordinator(
            commands.OpenRound,
            round_id=round_id,
            kind=kind,
            base_version=base,
            contributors=self.contributors,
            as_of_s=latest(self.job.as_of_s, self.now_s),
        )
        return round_id

    def commit(self, round_id: bytes, base: int) -> None:
        """Commit the intent of a round that is open."""
        roster = sha256(round_id).digest()
        self.by_coordinator(commands.FixRoster, round_id=round_id, contributors=self.contributors, roster_sha256=roster)
        self.by_coordinator(
            commands.CommitIntent,
            round_id=round_id,
            base_version=base,
            roster_sha256=roster,
            active=self.contributors,
            dead=(),
        )

    def round(self, kind: RoundKind, base: int) -> bytes:
        """A round with an intent."""
        round_id = self.open(kind, base)
        self.commit(round_id, base)
        return round_id

    def train(self, base: int, rounds: int) -> int:
        """A whole training round."""
        return self.add(rounds, self.round(RoundKind.TRAINING, base))

    def begin(self) -> int:
        """A seed and the model that its statistics round makes; the model's number."""
        seed = self.add()
        return self.add(0, self.round(RoundKind.STATISTICS, seed))

    def judge(self, version: int, model_loss: float) -> None:
        """A whole evaluation round; the baseline's loss is 10."""
        round_id = self.round(RoundKind.EVALUATION, version)
        heads = (HeadSums("effort", 5.0, model_loss, 10.0),)
        self.by_coordinator(commands.RecordEvaluation, round_id=round_id, heads=heads)

    def abandon(self, round_id: bytes, cause: AbandonCause = AbandonCause.OTHER) -> None:
        """Give up a round."""
        self.by_coordinator(commands.AbandonRound, round_id=round_id, why="a test", cause=cause)
