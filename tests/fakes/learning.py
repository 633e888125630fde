"""A learner without a process: a trainer whose model is a bare vector, and an exchange that calls client apps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from weftmesh.core.errors import InvalidInputError
from weftmesh.learner.app import answer_plain, client_app
from weftmesh.runtime.training_messages import ConfigValue, LocalEvaluation, LocalUpdate, Vector

MOMENTUM, RATE = np.float32(0.9), np.float32(0.7)


def vector_model(parameters: Vector, velocity: Vector | None = None) -> bytes:
    """A model that is its parameters and its velocity, and nothing else."""
    return parameters.tobytes() + (np.zeros_like(parameters) if velocity is None else velocity).tobytes()


def vectors_of(model: bytes) -> tuple[Vector, Vector]:
    """Parameters and velocity."""
    if not model or len(model) % 8:
        raise InvalidInputError("not a model of two vectors")
    parameters, velocity = np.frombuffer(model, np.float32).reshape(2, -1)
    return parameters, velocity


class VectorStep:
    """A step with momentum; implements ServerStep."""

    def contribution_length(self, model: bytes) -> int:
        return len(vectors_of(model)[0])

    def mean_length_max(self, update_clip: float) -> float:
        return update_clip

    def advanced(self, model: bytes, mean: Vector) -> bytes:
        parameters, velocity = vectors_of(model)
        with np.errstate(over="ignore"):
            velocity = MOMENTUM * velocity + mean
            parameters = parameters + RATE * velocity
        if not np.isfinite(parameters).all():
            raise InvalidInputError("the next model would not be finite")
        return vector_model(parameters, velocity)


@dataclass
class LeastSquares:
    """Fits a plane to private rows by gradient steps."""

    rows: Vector
    targets: Vector

    @classmethod
    def random(cls, seed: int, size: int) -> LeastSquares:
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(20 + 3 * seed, size)).astype(np.float32)
        truth = np.random.default_rng(0).normal(size=size).astype(np.float32)
        noise = rng.normal(scale=0.1, size=len(rows)).astype(np.float32)
        return cls(rows, (rows @ truth + noise).astype(np.float32))

    def train(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalUpdate:
        base, _ = vectors_of(model)
        rate, steps = config["rate"], config["steps"]
        assert isinstance(rate, float)
        assert isinstance(steps, int)
        weights = base.copy()
        for _ in range(steps):
            weights -= np.float32(rate) * (self.rows.T @ (self.rows @ weights - self.targets)) / len(self.rows)
        return LocalUpdate(weights - base, float(np.sqrt(len(self.rows))), {"loss": self._loss(weights)})

    def evaluate(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalEvaluation:
        return LocalEvaluation(float(len(self.rows)), {"loss": self._loss(vectors_of(model)[0])})

    def _loss(self, weights: Vector) -> float:
        return float(np.square(self.rows @ weights - self.targets).mean())


Delivery = Callable[[str, bytes], bytes]


@dataclass
class InProcessExchange:
    """Hands envelopes to learners, as bytes, each on a thread.

    Attributes:
        trainers: by node.
        learners: what answers instead of a plain client app, by node.
        faults: what to do instead, by node: called with the node and the payload.
        delay_s: before a node answers.
        delivered: nodes, in the order in which messages came.
        bytes_moved: both ways.
    """

    trainers: Mapping[str, LeastSquares]
    learners: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    faults: dict[str, Delivery] = field(default_factory=dict)
    delay_s: dict[str, float] = field(default_factory=dict)
    delivered: list[str] = field(default_factory=list)
    bytes_moved: int = 0

    async def deliver(self, node: str, payload: bytes, timeout_s: float) -> bytes:
        assert timeout_s > 0
        self.delivered.append(node)
        await asyncio.sleep(self.delay_s.get(node, 0.0))
        if node in self.faults:
            return self.faults[node](node, payload)
        learner = self.learners.get(node) or partial(answer_plain, client_app(self.trainers[node]))
        reply = await asyncio.to_thread(learner, payload)
        self.bytes_moved += len(payload) + len(reply)
        return reply
