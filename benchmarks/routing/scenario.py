"""A world to route in: all that happens in it, drawn beforehand, so that every policy meets exactly the same.

What changes over time is a grid of `STEP_S`: a value for each step. A request brings its own luck along: its work and
the numbers that decide whether a fault of that moment hits it. Nothing is drawn while the simulation runs, except by a
policy from its own stream.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Final

STEP_S: Final = 0.25
DURATION_S: Final = 60.0
WARM_UP_S: Final = 10.0
"""What is sent before is served, but not counted."""
TIMEOUT_S: Final = 1.0
WORK_S: Final = 0.025
"""Mean work of a request: seconds on an endpoint of speed 1; exponential, and three times as much for 2 % of them."""
HEAVY_SHARE: Final = 0.02
HEAVY_FACTOR: Final = 3.0
ERROR_S: Final = 0.0005
"""How long an endpoint takes to fail fast."""
RTO_S: Final = 0.2
"""Until the first retransmission (Linux: TCP_RTO_MIN); the next one takes twice as long."""
STEPS: Final = int(DURATION_S / STEP_S) + 8

Grid = list[float]


@dataclass(slots=True)
class Scenario:
    """One draw of one family.

    Attributes:
        family: its name.
        threshold_s: a slower answer breaks the agreement.
        capacity: for each endpoint, how many requests it works on at once.
        speed: for each endpoint, a grid: work per second of each worker.
        error: a grid of the chance that a request fails fast there.
        hang: a grid of the chance that a request is never answered.
        stall: a grid of the chance that a request stands still for `stall_s` while it is worked on.
        rtt_s: for each client and endpoint, a grid.
        loss: for each client and endpoint, a grid of the chance that a packet of the exchange is lost.
        probes_see: for each endpoint, whether its probes meet the errors and hangs that requests meet.
        rate: a grid of requests per second.
    """

    family: str
    threshold_s: float
    capacity: list[int]
    speed: list[Grid]
    error: list[Grid]
    hang: list[Grid]
    stall: list[Grid]
    stall_s: float
    rtt_s: list[list[Grid]]
    loss: list[list[Grid]]
    probes_see: list[bool]
    rate: Grid
    requests: Requests = field(default_factory=lambda: Requests())

    @property
    def endpoints(self) -> int:
        """How many there are."""
        return len(self.capacity)

    @property
    def clients(self) -> int:
        """How many nodes send requests; each routes by what it sees itself."""
        return len(self.rtt_s)


@dataclass(slots=True)
class Requests:
    """The requests of a scenario in order: columns, since there are tens of thousands."""

    at_s: list[float] = field(default_factory=list)
    client: list[int] = field(default_factory=list)
    work_s: list[float] = field(default_factory=list)
    luck_fault: list[float] = field(default_factory=list)
    luck_loss: list[float] = field(default_factory=list)
    luck_stall: list[float] = field(default_factory=list)


def calm(family: str, threshold_s: float, draw: random.Random, speed: tuple[float, float]) -> Scenario:
    """A scenario in which nothing goes wrong.

    Five to eight endpoints with 1 to 3 workers each, three to five clients, round trips of 0.4 to 4 ms. Speeds are
    drawn log-uniformly from `speed`.
    """
    endpoints, clients = draw.randint(5, 8), draw.randint(3, 5)
    low, high = math.log(speed[0]), math.log(speed[1])
    return Scenario(
        family=family,
        threshold_s=threshold_s,
        capacity=[draw.randint(1, 3) for _ in range(endpoints)],
        speed=[_flat(math.exp(draw.uniform(low, high))) for _ in range(endpoints)],
        error=[_flat(0.0) for _ in range(endpoints)],
        hang=[_flat(0.0) for _ in range(endpoints)],
        stall=[_flat(0.0) for _ in range(endpoints)],
        stall_s=0.0,
        rtt_s=[[_flat(draw.uniform(0.0004, 0.004)) for _ in range(endpoints)] for _ in range(clients)],
        loss=[[_flat(0.0) for _ in range(endpoints)] for _ in range(clients)],
        probes_see=[draw.random() < 0.5 for _ in range(endpoints)],
        rate=_flat(0.0),
    )


def load(scenario: Scenario, utilisation: float) -> None:
    """Ask for a part of what all endpoints can serve when nothing is wrong; before faults are drawn."""
    full = sum(capacity * speed[0] for capacity, speed in zip(scenario.capacity, scenario.speed, strict=True))
    work_s = WORK_S * (1.0 + HEAVY_SHARE * (HEAVY_FACTOR - 1.0))
    scenario.rate = _flat(utilisation * full / work_s)


def fill(scenario: Scenario, arrivals: random.Random, service: random.Random, faults: random.Random) -> Scenario:
    """Draw the requests: a Poisson process whose rate is the grid's, each from one of the clients."""
    peak = max(scenario.rate)
    requests, at_s = scenario.requests, 0.0
    while True:
        at_s += arrivals.expovariate(peak)
        if at_s >= DURATION_S:
            return scenario
        if arrivals.random() * peak > scenario.rate[int(at_s / STEP_S)]:
            continue
        requests.at_s.append(at_s)
        requests.client.append(arrivals.randrange(scenario.clients))
        heavy = HEAVY_FACTOR if service.random() < HEAVY_SHARE else 1.0
        requests.work_s.append(heavy * service.expovariate(1.0 / WORK_S))
        requests.luck_fault.append(faults.random())
        requests.luck_loss.append(faults.random())
        requests.luck_stall.append(faults.random())


def steps(begin_s: float, end_s: float) -> range:
    """The steps of a grid from one time to another."""
    return range(max(0, int(begin_s / STEP_S)), min(STEPS, int(end_s / STEP_S)))


def _flat(value: float) -> Grid:
    return [value] * STEPS
