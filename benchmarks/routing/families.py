"""The families of scenarios. Each number is drawn from a range that stands here: a fresh seed is a fresh world."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Final

from benchmarks.routing import rtt
from benchmarks.routing.scenario import DURATION_S, STEP_S, STEPS, Scenario, calm, fill, load, steps

THRESHOLD_S: Final = 0.150
"""Six times the mean work."""
RTT_THRESHOLD_S: Final = 0.400


def antagonist(draw: random.Random) -> Scenario:
    """Endpoints of speed 0.6 to 1.5 whose neighbours now and then take 20 to 75 % of it away, for 0.3 to 10 s."""
    scenario = calm("antagonist", THRESHOLD_S, draw, (0.6, 1.5))
    load(scenario, draw.uniform(0.3, 0.6))
    pause_s = draw.uniform(5.0, 15.0)
    for speed in scenario.speed:
        at_s = draw.expovariate(1.0 / pause_s)
        while at_s < DURATION_S:
            length_s = min(10.0, max(0.3, draw.lognormvariate(math.log(1.35), 0.8)))
            _scale(speed, at_s, at_s + length_s, draw.uniform(0.25, 0.8))
            at_s += length_s + draw.expovariate(1.0 / pause_s)
    return scenario


def degrading(draw: random.Random) -> Scenario:
    """One or two endpoints fail greyly: they slow down to 15 to 50 % within 5 to 25 s, or 5 to 30 % of requests stall.

    A stall takes 150 to 600 ms of a worker. Half of the slow ones recover.
    """
    scenario = calm("degrading", THRESHOLD_S, draw, (0.8, 1.25))
    load(scenario, draw.uniform(0.3, 0.55))
    scenario.stall_s = draw.uniform(0.15, 0.6)
    for one in draw.sample(range(scenario.endpoints), draw.randint(1, 2)):
        begin_s = draw.uniform(10.0, 25.0)
        if draw.random() < 0.5:
            share = draw.uniform(0.05, 0.3)
            _set(scenario.stall[one], begin_s, begin_s + draw.uniform(15.0, 35.0), share)
            continue
        slide_s, floor = draw.uniform(5.0, 25.0), draw.uniform(0.15, 0.5)
        end_s = draw.uniform(45.0, 65.0) if draw.random() < 0.5 else DURATION_S
        for step in steps(begin_s, end_s):
            part = min(1.0, (step * STEP_S - begin_s) / slide_s)
            scenario.speed[one][step] *= 1.0 - part * (1.0 - floor)
    return scenario


def failing(draw: random.Random) -> Scenario:
    """One or two endpoints fail 20 to 100 % of requests for 8 to 30 s, three in four fast, else by never answering."""
    scenario = calm("failing", THRESHOLD_S, draw, (0.8, 1.25))
    load(scenario, draw.uniform(0.3, 0.55))
    for one in draw.sample(range(scenario.endpoints), draw.randint(1, 2)):
        begin_s = draw.uniform(12.0, 40.0)
        fault = scenario.hang if draw.random() < 0.25 else scenario.error
        _set(fault[one], begin_s, begin_s + draw.uniform(8.0, 30.0), draw.uniform(0.2, 1.0))
    return scenario


def loss(draw: random.Random) -> Scenario:
    """The ways to one to three endpoints lose 1 to 15 % of exchanges for 15 to 40 s, for all clients or every other."""
    scenario = calm("loss", THRESHOLD_S, draw, (0.8, 1.25))
    load(scenario, draw.uniform(0.3, 0.55))
    for one in draw.sample(range(scenario.endpoints), draw.randint(1, 3)):
        begin_s, share = draw.uniform(10.0, 25.0), draw.uniform(0.01, 0.15)
        end_s, everybody = begin_s + draw.uniform(15.0, 40.0), draw.random() < 0.5
        for client in range(scenario.clients):
            if everybody or client % 2 == 0:
                _set(scenario.loss[client][one], begin_s, end_s, share)
    return scenario


def deploys(draw: random.Random) -> Scenario:
    """A rolling deployment: each endpoint in turn refuses for 0.5 to 3 s, then is cold.

    Cold is 10 to 35 % of its speed, warming up exponentially with a time constant of 3 to 10 s.
    """
    scenario = calm("deploys", THRESHOLD_S, draw, (0.8, 1.25))
    load(scenario, draw.uniform(0.3, 0.5))
    at_s, cold, warm_s = draw.uniform(10.0, 15.0), draw.uniform(0.1, 0.35), draw.uniform(3.0, 10.0)
    pause_s = draw.uniform(4.0, 8.0)
    for one in range(scenario.endpoints):
        up_s = at_s + draw.uniform(0.5, 3.0)
        _set(scenario.error[one], at_s, up_s, 1.0)
        scenario.probes_see[one] = True
        for step in steps(up_s, DURATION_S):
            scenario.speed[one][step] *= 1.0 - (1.0 - cold) * math.exp(-(step * STEP_S - up_s) / warm_s)
        at_s = up_s + pause_s
    return scenario


def correlated(draw: random.Random) -> Scenario:
    """Load that swings by 30 to 60 % within a minute, and a third of the endpoints in trouble at once for 10 to 25 s.

    They run at 20 to 50 % of their speed, fail 30 to 100 % of requests, or both.
    """
    scenario = calm("correlated", THRESHOLD_S, draw, (0.8, 1.25))
    load(scenario, draw.uniform(0.25, 0.4))
    swing, phase = draw.uniform(0.3, 0.6), draw.uniform(0.0, 2.0 * math.pi)
    for step in range(STEPS):
        scenario.rate[step] *= 1.0 + swing * math.sin(2.0 * math.pi * step * STEP_S / 60.0 + phase)
    begin_s, what = draw.uniform(15.0, 35.0), draw.choice(("slow", "errors", "both"))
    end_s = begin_s + draw.uniform(10.0, 25.0)
    factor, share = draw.uniform(0.2, 0.5), draw.uniform(0.3, 1.0)
    for one in draw.sample(range(scenario.endpoints), scenario.endpoints // 3):
        if what != "errors":
            _scale(scenario.speed[one], begin_s, end_s, factor)
        if what != "slow":
            _set(scenario.error[one], begin_s, end_s, share)
    return scenario


def replay(draw: random.Random) -> Scenario:
    """Round trips as they were measured between 99 hosts; a matrix every 2 to 5 s. Speeds 0.8 to 1.25."""
    scenario = calm("rtt-replay", RTT_THRESHOLD_S, draw, (0.8, 1.25))
    load(scenario, draw.uniform(0.2, 0.5))
    scenario.rtt_s = rtt.grids(draw, scenario.clients, scenario.endpoints)
    return scenario


FAMILIES: Final[dict[str, Callable[[random.Random], Scenario]]] = {
    "antagonist": antagonist,
    "degrading": degrading,
    "failing": failing,
    "loss": loss,
    "deploys": deploys,
    "correlated": correlated,
    "rtt-replay": replay,
}


def make(family: str, seed: int) -> Scenario:
    """The scenario of a seed; arrivals, service and faults have streams of their own."""
    streams = [random.Random(f"{family} {seed} {what}") for what in ("scenario", "arrivals", "service", "faults")]  # noqa: S311
    return fill(FAMILIES[family](streams[0]), *streams[1:])


def _set(grid: list[float], begin_s: float, end_s: float, value: float) -> None:
    for step in steps(begin_s, end_s):
        grid[step] = value


def _scale(grid: list[float], begin_s: float, end_s: float, factor: float) -> None:
    for step in steps(begin_s, max(end_s, begin_s + STEP_S)):
        grid[step] *= factor
