"""One route as requests meet it: what is known of each endpoint now, and the choice for the next request."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Final

from weftmesh.core.ola.model import ProbeKind
from weftmesh.core.routing.choosing import Chooser
from weftmesh.core.routing.feedback import EndpointFeedback
from weftmesh.core.routing.model import Condition, Endpoint, Reading, Row
from weftmesh.core.routing.predictor import Predictor
from weftmesh.core.routing.steps import Steps
from weftmesh.router.samples import Sample, Source

DRAWS_MAX: Final = 4
"""Choices that may fall on an endpoint to avoid before the heaviest other one is taken."""
QUIET_S: Final = 60.0
"""A route that nobody uses or probes for so long is evaluated only when its table asks for it."""
PREDICTED_S: Final = 5.0
"""Only endpoints that a request told of within this time are worth a prediction."""


class LiveRoute:
    """What this node knows of a route beside its table. Times are in the monotonic clock.

    Args:
        endpoints: at least one.
        threshold_s: the response time that the agreement allows.
        deciding_probe: the kind of probe whose answers count.
        rng: for choices.
        now_s: the time.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        threshold_s: float,
        deciding_probe: ProbeKind | None,
        rng: random.Random,
        now_s: float,
    ) -> None:
        self._rng = rng
        self._feedback: dict[str, EndpointFeedback] = {}
        self._predictors: dict[str, Predictor] = {}
        self._cumulative: list[float] = []
        self._heard_at_s = -math.inf
        self._unsettled = False
        self.news = False
        """Whether something was heard since the last readings."""
        self.per_request = False
        """Whether requests go where they cost least; otherwise they follow the weights."""
        self.endpoints: tuple[Endpoint, ...] = ()
        self.deciding_probe: ProbeKind | None = None
        self.change(endpoints, threshold_s, deciding_probe, now_s)

    def change(
        self, endpoints: Sequence[Endpoint], threshold_s: float, deciding_probe: ProbeKind | None, now_s: float
    ) -> None:
        """Other endpoints or settings; what is known of an endpoint stays while its address does."""
        old = {one.name: one for one in self.endpoints}
        self._feedback = {
            one.name: self._feedback[one.name]
            if (was := old.get(one.name)) is not None and (was.address, was.capacity) == (one.address, one.capacity)
            else EndpointFeedback(one, now_s)
            for one in endpoints
        }
        self._predictors = {name: one for name, one in self._predictors.items() if name in self._feedback}
        self.endpoints, self.deciding_probe = tuple(endpoints), deciding_probe
        self._chooser = Chooser(list(self._feedback.values()), threshold_s, self._rng)

    def follow(self, rows: Sequence[Row], per_request: bool) -> None:
        """Take the table in force; a row for each endpoint, in order."""
        self._chooser.admit([row.admission for row in rows])
        self._cumulative = list(accumulate(row.weight for row in rows))
        self._unsettled = any(row.condition is not Condition.ACTIVE or row.weight != row.target for row in rows)
        self.per_request = per_request

    # Requests

    def choose(self, now_s: float, avoid: Collection[str] = ()) -> Endpoint:
        """Where the next request should go; an endpoint to avoid only when there is no other one."""
        for _ in range(DRAWS_MAX if avoid else 1):
            found = self.endpoints[self._chooser.choose(now_s) if self.per_request else self._draw()]
            if found.name not in avoid:
                return found
        others = [at for at, one in enumerate(self.endpoints) if one.name not in avoid]
        return self.endpoints[max(others, key=self._weight)] if others else found

    def sent(self, endpoint: str) -> None:
        """A request goes there, and its end will be told."""
        if (one := self._feedback.get(endpoint)) is not None:
            one.sent()

    def abandoned(self, endpoint: str) -> None:
        """Nobody will tell how it ended."""
        if (one := self._feedback.get(endpoint)) is not None:
            one.abandoned()

    def _draw(self) -> int:
        at = bisect_right(self._cumulative, self._rng.random() * self._cumulative[-1])
        return min(at, len(self._cumulative) - 1)

    def _weight(self, at: int) -> float:
        return self._cumulative[at] - (self._cumulative[at - 1] if at else 0.0)

    # What is heard

    def knows(self, endpoint: str) -> bool:
        """Whether it has an endpoint of this name."""
        return endpoint in self._feedback

    def take(self, sample: Sample) -> None:
        """Learn from a sample. A probe counts when it is of the deciding kind; a reported request was `sent` before."""
        one = self._feedback.get(sample.endpoint)
        if one is None:
            return
        latency_s = None if sample.latency_us is None else sample.latency_us / 1e6
        server_s = None if sample.server_us is None else sample.server_us / 1e6
        if sample.source is Source.PROBE:
            if sample.probe is not self.deciding_probe:
                return
            way_s = None if latency_s is None else max(0.0, latency_s - (server_s or 0.0))
            one.probed(sample.ended_s, way_s, sample.ok, sample.load)
        elif sample.source is Source.LRS:
            good = sample.sent if sample.ok else 0
            one.counted(sample.ended_s, good, sample.sent - good)
        elif latency_s is None and sample.ok:
            one.abandoned()
            one.counted(sample.ended_s, 1, 0)
        else:
            one.answered(sample.ended_s, latency_s or 0.0, sample.ok, server_s, sample.load)
        self._heard_at_s = max(self._heard_at_s, sample.ended_s)
        self.news = True

    def is_due(self, now_s: float) -> bool:
        """Whether the table should look at the endpoints again."""
        return self.news or self._unsettled or now_s - self._heard_at_s < QUIET_S

    def readings(self, now_s: float) -> Steps[tuple[Reading, ...]]:
        """Of every endpoint, in order; a predictor looks at each at the same time. An endpoint with each step."""
        self.news = False
        found = []
        for name, one in tuple(self._feedback.items()):
            if now_s - one.fresh_at_s < PREDICTED_S:
                predictor = self._predictors.get(name)
                if predictor is None:
                    predictor = self._predictors[name] = Predictor()
                one.outlook = math.exp(predictor.observe(now_s, math.log(one.service_s)))
            else:
                one.outlook = 1.0
            found.append(one.reading(now_s))
            yield
        return tuple(found)

    def seen(self, now_s: float) -> tuple[Reading, ...]:
        """As `readings`, for people: it changes nothing."""
        return tuple(one.reading(now_s) for one in self._feedback.values())
