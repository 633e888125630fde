"""What can be trained, one class a head: how a training begins, goes on from a mean, and gets past a closed version."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final, Protocol

from weftmesh.coordinator.model_steps import EffortStep, FinishStep
from weftmesh.coordinator.strategy import ServerStep
from weftmesh.core.forecast import finish_averaging, finish_bytes
from weftmesh.core.forecast.averaging import MOMENTUM, server_step
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import COUNTS_LENGTH, DIMENSIONS, DocumentCounts
from weftmesh.core.forecast.finish_features import FEATURES
from weftmesh.core.forecast.model_bytes import decode_model, encode_model
from weftmesh.learning.v1.learning_pb2 import JobSpec

SEED_MAGIC: Final = b"WMSEED\0\0"
SEED_RANDOM_BYTES: Final = 32
KICK: Final = 1e-3
"""The most by which a version that no round made differs from its parent in a weight, beside the momentum's part. The
largest trained weight of effort measured 3.4."""


class Head(Protocol):
    """One kind of forecast, as its coordinator trains it."""

    @property
    def counts_length(self) -> int:
        """Numbers that a node adds up in a statistics round."""

    @property
    def train_metrics(self) -> tuple[str, ...]:
        """Names of the metrics of a training round."""

    def step(self, spec: JobSpec) -> ServerStep:
        """How its model goes on from a mean."""

    def first_model(self, sums: Sequence[float]) -> bytes:
        """The untrained model.

        Args:
            sums: `counts_length` numbers.

        Raises:
            InvalidInputError: they are not what counting makes.
        """

    def moved_on(self, model: bytes, number: int, spec: JobSpec) -> bytes:
        """Another model near this one, that depends on its bytes and the new version's number alone.

        Raises:
            InvalidInputError: these bytes are not a model of this kind.
        """


class EffortHead:
    """Effort forecasts; implements Head."""

    counts_length = COUNTS_LENGTH
    train_metrics = ("loss",)

    def step(self, spec: JobSpec) -> EffortStep:
        """See Head."""
        return EffortStep(_momentum(spec))

    def first_model(self, sums: Sequence[float]) -> bytes:
        """See Head."""
        return encode_model(EffortModel.untrained(DocumentCounts.from_vector(sums).statistics()))

    def moved_on(self, model: bytes, number: int, spec: JobSpec) -> bytes:
        """A step on by momentum, and by a mean that nobody sent: small random numbers."""
        kicks = _kicks(model, number, DIMENSIONS)
        return encode_model(server_step(decode_model(model), kicks, _momentum(spec)))


class FinishHead:
    """Finish-time forecasts; implements Head."""

    counts_length = finish_averaging.counts_length(len(FEATURES))
    train_metrics = ("loss",)

    def step(self, spec: JobSpec) -> FinishStep:
        """See Head; the specification's l2 is the pull of each weight to 0, per task."""
        return FinishStep(spec.l2 or finish_averaging.RIDGE)

    def first_model(self, sums: Sequence[float]) -> bytes:
        """See Head."""
        return finish_bytes.encode_model(finish_averaging.untrained(sums))

    def moved_on(self, model: bytes, number: int, spec: JobSpec) -> bytes:  # noqa: ARG002, it has no momentum
        """The same model but for small random numbers: a Newton step finds its way from anywhere near."""
        base = finish_bytes.decode_model(model)
        kicks = iter(_kicks(model, number, len(FEATURES) * len(base.weights)))
        weights = tuple(tuple(weight + next(kicks) for weight in row) for row in base.weights)
        return finish_bytes.encode_model(replace(base, version=base.version + 1, weights=weights))


HEADS: Final[Mapping[str, Head]] = {"effort": EffortHead(), "finish": FinishHead()}
"""By the name in a job's specification; those of `registry.HEADS`."""


def seed(job: str, rng: random.Random) -> bytes:
    """The bytes of a version that a training of `job` begins with; never the same twice."""
    return SEED_MAGIC + job.encode() + b"\0" + rng.randbytes(SEED_RANDOM_BYTES)


def _kicks(model: bytes, number: int, count: int) -> list[float]:
    """Numbers up to KICK that follow from a model's bytes and the new version's number, so that every leader agrees."""
    rng = random.Random(sha256(model + number.to_bytes(8, "big")).digest())  # noqa: S311, no secret: replays agree
    return [rng.uniform(-KICK, KICK) for _ in range(count)]


def _momentum(spec: JobSpec) -> float:
    return spec.server_momentum or MOMENTUM
