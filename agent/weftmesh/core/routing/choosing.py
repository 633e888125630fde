"""One request, a handful of endpoints, one choice: where it is likely to be done soon and within the agreement.

The cost of an endpoint is the time until its answer, plus `penalty_s` times the chance that the answer breaks the
agreement. Both follow from what `feedback` knows:

    wait  = S * (q + 1 - c) / c, when that is positive     q requests are held there, c are worked on at once
    time  = wait + S + rtt                                 S is the mean working time
    slow  = exp(-(threshold - wait - rtt) / S)             as if working times were exponential
    cost  = time + penalty * (1 - (1 - slow) * (1 - bad))  bad is surely the share of requests that goes wrong

The working time of an endpoint that nobody used for a while drifts to the usual one, so that a recovery is noticed; the
penalty for bad requests fades likewise. A little noise keeps nodes that see the same from choosing the same.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.routing.feedback import FORGET_TAU_S, OTHERS_TAU_S, EndpointFeedback

PENALTY_S: Final = 0.5
"""What an answer that breaks the agreement costs, in seconds of waiting."""
SCAN_MAX: Final = 16
"""Up to so many endpoints all are looked at, beyond that a sample."""
SAMPLE: Final = 8
NOISE: Final = 0.03
REFRESH_S: Final = 0.1
STALE_S: Final = 1.0
"""A working time that a request confirmed within this time is taken as it is."""


class Chooser:
    """Picks for one route on one node. Not safe for concurrent use.

    Args:
        endpoints: at least one; the caller keeps them up to date.
        threshold_s: the response time that the agreement allows.
        rng: for noise and samples.
        penalty_s: see `PENALTY_S`.

    Raises:
        InvalidInputError: there is no endpoint.
    """

    def __init__(
        self,
        endpoints: Sequence[EndpointFeedback],
        threshold_s: float,
        rng: random.Random,
        penalty_s: float = PENALTY_S,
    ) -> None:
        if not endpoints:
            raise InvalidInputError("a route without endpoints has nothing to choose from; give it at least one")
        self.endpoints = list(endpoints)
        self._threshold_s = threshold_s
        self._penalty_s = penalty_s
        self._rng = rng
        self._admission = [1.0] * len(self.endpoints)
        self._open = list(range(len(self.endpoints)))
        self._usual_s = self.endpoints[0].service_s
        self._refresh_at_s = -math.inf

    def admit(self, admission: Sequence[float]) -> None:
        """Take the admission of each endpoint from a table; where all are closed, all are open."""
        self._admission = [one if one > 0.0 else 1.0 for one in admission]
        self._open = [at for at, one in enumerate(admission) if one > 0.0] or list(range(len(admission)))

    def choose(self, now_s: float) -> int:
        """The place of the endpoint for a request that is sent now; whoever sends it tells the endpoint (`sent`)."""
        if now_s >= self._refresh_at_s:
            self._refresh(now_s)
        candidates = self._open if len(self._open) <= SCAN_MAX else self._rng.sample(self._open, SAMPLE)
        endpoints, threshold_s, penalty_s, usual_s = self.endpoints, self._threshold_s, self._penalty_s, self._usual_s
        admission, draw, exp = self._admission, self._rng.random, math.exp
        best, best_cost = candidates[0], math.inf
        for at in candidates:
            one = endpoints[at]
            service_s = one.service_s * one.outlook
            age_s = now_s - one.fresh_at_s - STALE_S
            if age_s > 0.0:
                service_s += (usual_s - service_s) * (1.0 - exp(-age_s / FORGET_TAU_S))
            held = one.in_flight + one.others * exp((one.heard_at_s - now_s) / OTHERS_TAU_S)
            over = held + 1.0 - one.capacity
            wait_s = service_s * over / one.capacity if over > 0.0 else 0.0
            way_s = wait_s + one.rtt_s
            slack_s = threshold_s - way_s
            good = (1.0 - exp(-slack_s / service_s)) * (1.0 - one.bad_lower) if slack_s > 0.0 else 0.0
            cost = (way_s + service_s + penalty_s * (1.0 - good)) * (1.0 + NOISE * draw()) / admission[at]
            if cost < best_cost:
                best, best_cost = at, cost
        return best

    def _refresh(self, now_s: float) -> None:
        for one in self.endpoints:
            one.refresh(now_s)
        times = sorted(one.service_s for one in self.endpoints)
        self._usual_s = times[len(times) // 2]
        self._refresh_at_s = now_s + REFRESH_S
