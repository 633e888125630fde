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


class VectorCodec:
    """A model that is its float32 parameters and nothing else."""

    def parameters(self, model: bytes) -> Vector:
        if not model or len(model) % 4:
            raise InvalidInputError("not a vector of float32")
        return np.frombuffer(model, np.float32)

    def with_parameters(self, model: bytes, parameters: Vector) -> bytes:
        assert len(model) == 4 * len(parameters)
        return parameters.astype(np.float32).tobytes()


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
        base = VectorCodec().parameters(model)
        rate, steps = config["rate"], config["steps"]
        assert isinstance(rate, float)
        assert isinstance(steps, int)
        weights = base.copy()
        for _ in range(steps):
            weights -= np.float32(rate) * (self.rows.T @ (self.rows @ weights - self.targets)) / len(self.rows)
        return LocalUpdate(weights - base, float(np.sqrt(len(self.rows))), {"loss": self._loss(weights)})

    def evaluate(self, model: bytes, config: Mapping[str, ConfigValue]) -> LocalEvaluation:
        return LocalEvaluation(float(len(self.rows)), {"loss": self._loss(VectorCodec().parameters(model))})

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
