"""What can be trained, one class a head: how a training begins, goes on from a mean, and gets past a closed version."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, Protocol

from weftmesh.coordinator.model_steps import EffortStep
from weftmesh.coordinator.strategy import ServerStep
from weftmesh.core.forecast.averaging import MOMENTUM, server_step
from weftmesh.core.forecast.effort import EffortModel
from weftmesh.core.forecast.features import COUNTS_LENGTH, DIMENSIONS, DocumentCounts
from weftmesh.core.forecast.model_bytes import decode_model, encode_model
from weftmesh.learning.v1.learning_pb2 import JobSpec

SEED_MAGIC: Final = b"WMSEED\0\0"
SEED_RANDOM_BYTES: Final = 32
KICK: Final = 1e-3
"""The most by which a version that no round made differs from its parent in a weight, beside the momentum's part. The
largest trained weight measured 3.4."""


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
        rng = random.Random(sha256(model + number.to_bytes(8, "big")).digest())  # noqa: S311, no secret: replays agree
        kick = [rng.uniform(-KICK, KICK) for _ in range(DIMENSIONS)]
        return encode_model(server_step(decode_model(model), kick, _momentum(spec)))


HEADS: Final[Mapping[str, Head]] = {"effort": EffortHead()}
"""By the name in a job's specification; those of `registry.HEADS`."""


def seed(job: str, rng: random.Random) -> bytes:
    """The bytes of a version that a training of `job` begins with; never the same twice."""
    return SEED_MAGIC + job.encode() + b"\0" + rng.randbytes(SEED_RANDOM_BYTES)


def _momentum(spec: JobSpec) -> float:
    return spec.server_momentum or MOMENTUM
