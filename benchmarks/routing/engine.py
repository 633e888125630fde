"""The simulation: requests, probes and reports as events in one heap.

A client sends a request to the endpoint that its policy picks. The endpoint serves first come, first served, with as
many workers as its capacity. Its answer carries what it says of itself at that moment, and reaches the client half a
round trip later; nothing else tells a policy anything. A request that is not answered within the timeout ends as an
error at that time, and an endpoint does not begin to work on one that nobody waits for any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, Protocol

from benchmarks.routing.scenario import (
    DURATION_S,
    ERROR_S,
    RTO_S,
    STEP_S,
    TIMEOUT_S,
    WARM_UP_S,
    Scenario,
)
from weftmesh.core.routing.feedback import SERVICE_TAU_S, DecayingMean, Load

TICK_S: Final = 0.5
_ARRIVE, _DONE, _ANSWER, _PROBE, _PROBE_ARRIVES, _PROBED, _TICK = range(7)


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back: `server_s` and `load` are None for a timeout and for an error that says nothing."""

    endpoint: int
    latency_s: float
    ok: bool
    server_s: float | None
    load: Load | None


class Policy(Protocol):
    """One client's router."""

    probe_s: float
    """It probes each endpoint so often; 0 for never."""
    probes_per_request: int
    """It probes so many endpoints with every request."""

    def pick(self, now_s: float) -> int:
        """The endpoint for a request that is sent now."""

    def answered(self, now_s: float, answer: Answer) -> None:
        """A request came to an end."""

    def probed(self, now_s: float, probe: Probed) -> None:
        """A probe came to an end."""

    def targets(self) -> list[int]:
        """Which endpoints to probe with this request."""

    def tick(self, now_s: float) -> None:
        """Half a second has passed."""


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe's reply; `rtt_s` is None when none came. `latency_at_s`: see `Server.latency_at`."""

    endpoint: int
    rtt_s: float | None
    ok: bool
    load: Load | None
    latency_at_s: float = 0.0


class Server:
    """One endpoint. What it says of itself is computed from what it has finished."""

    __slots__ = ("_history", "capacity", "free_at_s", "in_flight", "service")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.free_at_s = [0.0] * capacity
        """When each worker is done with all it was given; a heap."""
        self.in_flight = 0
        self.service = DecayingMean(SERVICE_TAU_S, 0.025)
        self._history: list[tuple[int, float]] = []

    def load(self) -> Load:
        """What it says of itself."""
        return Load(self.service.value, self.in_flight, self.capacity)

    def finished(self, in_flight_at_arrival: int, server_s: float) -> None:
        """Remember how long a request took and how full it was when that came."""
        self._history.append((in_flight_at_arrival, server_s))
        if len(self._history) > 32:
            del self._history[:16]

    def latency_at(self) -> float:
        """The median time of recent requests that came when it was about as full as now (Prequal, section 4)."""
        if not self._history:
            return 0.025
        now = self.in_flight
        near = sorted([(abs(in_flight - now), server_s) for in_flight, server_s in self._history[-16:]])[:5]
        times = sorted([server_s for _, server_s in near])
        return times[len(times) // 2]


@dataclass(slots=True)
class Result:
    """What became of the requests that count."""

    latency_s: list[float] = field(default_factory=list)
    """Of those that were answered without an error."""
    errors: int = 0
    slow: int = 0
    events: int = 0

    @property
    def violations(self) -> float:
        """The share of requests that broke the agreement."""
        count = len(self.latency_s) + self.errors
        return (self.errors + self.slow) / count if count else 0.0


class World:
    """What the oracle may look at: the endpoints as they are at this very moment."""

    __slots__ = ("scenario", "servers")

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.servers = [Server(capacity) for capacity in scenario.capacity]


def run(world: World, policies: Sequence[Policy]) -> Result:
    """Serve all requests of a scenario; one policy for each client."""
    return _Run(world, policies).run()


class _Run:
    def __init__(self, world: World, policies: Sequence[Policy]) -> None:
        self.scenario, self.servers, self.policies = world.scenario, world.servers, policies
        self.result = Result()
        count = len(world.scenario.requests.at_s)
        self.endpoint_of = [0] * count
        self.server_s = [0.0] * count
        self.arrived_at_s = [0.0] * count
        self.full = [0] * count
        self.answers: list[Answer | None] = [None] * count
        self.probes: list[tuple[int, int, float]] = []
        self.replies: dict[int, Probed] = {}
        self.heap: list[tuple[float, int, int]] = []

    def run(self) -> Result:
        scenario, heap = self.scenario, self.heap
        for client, policy in enumerate(self.policies):
            heap.append((TICK_S * (1.0 + client / len(self.policies)), _TICK, client))
            if policy.probe_s:
                for endpoint in range(scenario.endpoints):
                    first_s = policy.probe_s * (endpoint + client / len(self.policies)) / scenario.endpoints
                    heap.append((first_s, _PROBE, client * scenario.endpoints + endpoint))
        heapify(heap)
        handlers = (self._arrive, self._done, self._answer, self._probe, self._probe_arrives, self._probed, self._tick)
        at_s, clients = scenario.requests.at_s, scenario.requests.client
        end_s, count, number = DURATION_S + TIMEOUT_S, len(at_s), 0
        next_s = at_s[0] if count else end_s
        events = 0
        while True:
            if heap and heap[0][0] <= next_s:
                now_s, kind, which = heappop(heap)
                if now_s > end_s:
                    break
                events += 1
                handlers[kind](now_s, which)
            elif number < count:
                self._send(next_s, number, clients[number])
                number += 1
                next_s = at_s[number] if number < count else end_s
            else:
                break
        self.result.events = events + count
        return self.result

    def _send(self, now_s: float, number: int, client: int) -> None:
        scenario, policy, step = self.scenario, self.policies[client], int(now_s / STEP_S)
        endpoint = policy.pick(now_s)
        self.endpoint_of[number] = endpoint
        way_s = scenario.rtt_s[client][endpoint][step] / 2.0
        loss = scenario.loss[client][endpoint][step]
        if loss and (luck := scenario.requests.luck_loss[number]) < loss:
            way_s += RTO_S if luck >= loss * loss else 3.0 * RTO_S
        heappush(self.heap, (now_s + way_s, _ARRIVE, number))
        if policy.probes_per_request:
            for target in policy.targets():
                self._launch(now_s, client, target)

    def _arrive(self, now_s: float, number: int) -> None:
        scenario, requests, step = self.scenario, self.scenario.requests, int(now_s / STEP_S)
        endpoint, sent_s = self.endpoint_of[number], requests.at_s[number]
        deadline_s, luck = sent_s + TIMEOUT_S, requests.luck_fault[number]
        half_s = scenario.rtt_s[requests.client[number]][endpoint][step] / 2.0
        if luck < scenario.error[endpoint][step]:
            at_s = min(deadline_s, now_s + ERROR_S + half_s)
            self.answers[number] = Answer(endpoint, at_s - sent_s, False, None, None)
            heappush(self.heap, (at_s, _ANSWER, number))
            return
        server = self.servers[endpoint]
        start_s = max(now_s, server.free_at_s[0])
        if luck < scenario.hang[endpoint][step] or start_s >= deadline_s:
            self._time_out(number, endpoint, deadline_s)
            return
        service_s = requests.work_s[number] / scenario.speed[endpoint][int(start_s / STEP_S)]
        if requests.luck_stall[number] < scenario.stall[endpoint][step]:
            service_s += scenario.stall_s
        finish_s = start_s + service_s
        heapreplace(server.free_at_s, finish_s)
        self.server_s[number] = service_s
        self.arrived_at_s[number] = now_s
        self.full[number] = server.in_flight
        server.in_flight += 1
        heappush(self.heap, (finish_s, _DONE, number))
        if finish_s + half_s > deadline_s:
            self._time_out(number, endpoint, deadline_s)

    def _done(self, now_s: float, number: int) -> None:
        endpoint = self.endpoint_of[number]
        server = self.servers[endpoint]
        server.in_flight -= 1
        server.service.add(now_s, self.server_s[number])
        held_s = now_s - self.arrived_at_s[number]
        server.finished(self.full[number], held_s)
        if self.answers[number] is not None:
            return
        requests, step = self.scenario.requests, int(now_s / STEP_S)
        at_s = now_s + self.scenario.rtt_s[requests.client[number]][endpoint][step] / 2.0
        self.answers[number] = Answer(endpoint, at_s - requests.at_s[number], True, held_s, server.load())
        heappush(self.heap, (at_s, _ANSWER, number))

    def _time_out(self, number: int, endpoint: int, deadline_s: float) -> None:
        self.answers[number] = Answer(endpoint, TIMEOUT_S, False, None, None)
        heappush(self.heap, (deadline_s, _ANSWER, number))

    def _answer(self, now_s: float, number: int) -> None:
        answer, requests = self.answers[number], self.scenario.requests
        assert answer is not None  # noqa: S101
        self.policies[requests.client[number]].answered(now_s, answer)
        if requests.at_s[number] < WARM_UP_S:
            return
        result = self.result
        if not answer.ok:
            result.errors += 1
            return
        result.latency_s.append(answer.latency_s)
        if answer.latency_s > self.scenario.threshold_s:
            result.slow += 1

    # Probes

    def _probe(self, now_s: float, which: int) -> None:
        """The turn of an endpoint in a client's regular probing has come; `which` names both."""
        client, endpoint = divmod(which, self.scenario.endpoints)
        self._launch(now_s, client, endpoint)
        heappush(self.heap, (now_s + self.policies[client].probe_s, _PROBE, which))

    def _launch(self, now_s: float, client: int, endpoint: int) -> None:
        self.probes.append((client, endpoint, now_s))
        way_s = self.scenario.rtt_s[client][endpoint][int(now_s / STEP_S)] / 2.0
        heappush(self.heap, (now_s + way_s, _PROBE_ARRIVES, len(self.probes) - 1))

    def _probe_arrives(self, now_s: float, which: int) -> None:
        client, endpoint, sent_s = self.probes[which]
        scenario, step = self.scenario, int(now_s / STEP_S)
        server, way_s, luck = self.servers[endpoint], now_s - sent_s, self._luck(which)
        sees = scenario.probes_see[endpoint]
        if sees and luck < scenario.hang[endpoint][step]:
            self.replies[which] = Probed(endpoint, None, False, None)
            heappush(self.heap, (sent_s + TIMEOUT_S, _PROBED, which))
            return
        back_s = way_s + (RTO_S if self._luck(which + 1) < scenario.loss[client][endpoint][step] else 0.0)
        ok = not (sees and luck < scenario.error[endpoint][step])
        load = server.load() if ok else None
        latency_s = server.latency_at() if self.policies[client].probes_per_request else 0.0
        self.replies[which] = Probed(endpoint, way_s + back_s, ok, load, latency_s)
        heappush(self.heap, (now_s + back_s, _PROBED, which))

    def _luck(self, which: int) -> float:
        """A probe's number between 0 and 1: that of a request, so that no stream is drawn from."""
        lucks = self.scenario.requests.luck_fault
        return lucks[which * 7919 % len(lucks)]

    def _probed(self, now_s: float, which: int) -> None:
        self.policies[self.probes[which][0]].probed(now_s, self.replies.pop(which))

    def _tick(self, now_s: float, client: int) -> None:
        self.policies[client].tick(now_s)
        heappush(self.heap, (now_s + TICK_S, _TICK, client))
