"""Random, round robin, and least request of two. They see their own requests in flight, nothing of the endpoints."""

from __future__ import annotations

import random

from benchmarks.routing.engine import Answer, Probed


class Plain:
    """What the policies without probes have in common.

    Args:
        endpoints: how many there are.
        rng: this client's own stream.
    """

    probe_s = 0.0
    probes_per_request = 0

    def __init__(self, endpoints: int, rng: random.Random) -> None:
        self.rng = rng
        self.endpoints = endpoints
        self.in_flight = [0] * endpoints

    def answered(self, now_s: float, answer: Answer) -> None:  # noqa: ARG002 - the interface is the engine's
        """Count it off."""
        self.in_flight[answer.endpoint] -= 1

    def probed(self, now_s: float, probe: Probed) -> None:
        """It sends no probes."""

    def targets(self) -> list[int]:
        """It sends no probes."""
        return []

    def tick(self, now_s: float) -> None:
        """It keeps no time."""


class Random(Plain):
    """Each endpoint is as likely."""

    def pick(self, now_s: float) -> int:  # noqa: ARG002 - the interface is the engine's
        """Any endpoint."""
        return self.rng.randrange(self.endpoints)


class RoundRobin(Plain):
    """One after another, beginning anywhere."""

    def __init__(self, endpoints: int, rng: random.Random) -> None:
        super().__init__(endpoints, rng)
        self._next = rng.randrange(endpoints)

    def pick(self, now_s: float) -> int:  # noqa: ARG002 - the interface is the engine's
        """The next endpoint."""
        self._next = (self._next + 1) % self.endpoints
        return self._next


class LeastRequest(Plain):
    """The one of two random endpoints that has fewer of this client's requests (Envoy's LEAST_REQUEST, choices 2)."""

    def pick(self, now_s: float) -> int:  # noqa: ARG002 - the interface is the engine's
        """The less busy of two."""
        one, other = self.rng.sample(range(self.endpoints), 2)
        choice = one if self.in_flight[one] <= self.in_flight[other] else other
        self.in_flight[choice] += 1
        return choice
