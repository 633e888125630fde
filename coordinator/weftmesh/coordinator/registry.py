"""One job as the replicated state has it: all that a coordinator knows, and all that its successor will know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from google.protobuf.message import DecodeError

from weftmesh.core.clock import stamp_to_ms
from weftmesh.core.learning.model import (
    AbandonCause,
    Evaluation,
    Job,
    Round,
    RoundKind,
    UnmaskIntent,
    Version,
    VersionStage,
)
from weftmesh.learning.v1 import learning_pb2
from weftmesh.learning.v1.learning_pb2 import JobSpec
from weftmesh.runtime.wire.learning_records import read

HEADS: Final = ("effort", "finish")
"""What this release can train."""
ROUNDS: Final = "rounds"
"""Metric of every version that is a model: training rounds behind it. A version without it is a seed."""
VIEW_LIMIT: Final = 200
"""More rounds and versions than a replica keeps of one job."""


@dataclass(frozen=True, slots=True)
class JobState:
    """A job at one revision.

    Attributes:
        job: its row.
        spec: None when this release cannot read it.
        versions: by number.
        rounds: those that are kept, by id.
        intents: by kind and base version.
        evaluations: by version.
        contributors: nodes that may be asked now, sorted.
    """

    job: Job
    spec: JobSpec | None
    versions: Mapping[int, Version] = field(default_factory=dict)
    rounds: Mapping[bytes, Round] = field(default_factory=dict)
    intents: Mapping[tuple[RoundKind, int], UnmaskIntent] = field(default_factory=dict)
    evaluations: Mapping[int, Evaluation] = field(default_factory=dict)
    contributors: tuple[str, ...] = ()

    @property
    def base(self) -> Version | None:
        """The version to go on from: the newest, or after a rollback the one that is active; None for none."""
        newest = self.versions.get(self.job.newest_version)
        if newest is not None and newest.stage is not VersionStage.RETIRED:
            return newest
        active = self.versions.get(self.job.active_version)
        usable = [one for one in self.versions.values() if one.stage is not VersionStage.RETIRED]
        return active or max(usable, key=lambda one: one.number, default=None)

    def is_closed(self, kind: RoundKind, version: int) -> bool:
        """Whether a sum over this base version was unmasked, or may have been, or contributors say that it was."""
        return (kind, version) in self.intents or any(
            (one.kind, one.base_version, one.cause) == (kind, version, AbandonCause.ANSWERED_BEFORE)
            for one in self.rounds.values()
        )

    def knows(self, model: bytes) -> bool:
        """Whether these bytes are, or were, a version: they do not come back under another number."""
        known = [one.sha256 for one in self.versions.values()] + [one.base_sha256 for one in self.intents.values()]
        return sha256(model).digest() in known


def read_job(view: learning_pb2.Learning, name: str) -> JobState | None:
    """A job of what a node's replica says; None when there is none of this name.

    Raises:
        InvalidInputError: a row of a newer release.
    """
    row = next((one for one in view.jobs if one.name == name), None)
    if row is None:
        return None
    rounds = [read(Round, one) for one in view.rounds if one.job == name]
    intents = [read(UnmaskIntent, one) for one in view.intents if one.job == name]
    return JobState(
        job=read(Job, row),
        spec=_spec(row.spec),
        versions={one.number: read(Version, one) for one in view.versions if one.job == name},
        rounds={one.id: one for one in rounds},
        intents={(one.kind, one.base_version): one for one in intents},
        evaluations={one.version: read(Evaluation, one) for one in view.evaluations if one.job == name},
        contributors=tuple(sorted(view.contributors)),
    )


def metric(version: Version, name: str, default: float) -> float:
    """A figure of a version."""
    return next((one.value for one in version.metrics if one.name == name), default)


def is_seed(version: Version) -> bool:
    """Whether it is no model yet: bytes to begin a training with, whose first round counts."""
    return metric(version, ROUNDS, -1.0) < 0


def added_s(version: Version) -> float:
    """When it was added, Unix seconds."""
    return stamp_to_ms(version.added_stamp) / 1_000


def _spec(data: bytes) -> JobSpec | None:
    try:
        return JobSpec.FromString(data)
    except DecodeError:
        return None
