"""Objectives of one agreement that contradict one another, its window or its probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weftmesh.core.ola.model import WHOLE_PPB, Agreement, Objective, PacketLoss, ResponseTime, Throughput, Uptime
from weftmesh.core.ola.problems import COUNT_PART_S, Path, Problem

MS_US = 1000


def objective_problems(agreement: Agreement) -> Iterator[Problem]:
    """What is wrong with the objectives, in their order."""
    if not agreement.objectives:
        yield Problem(("objectives",), "nothing is promised", "add an objective, such as uptime: 99.9")
    keys = [one.key for one in agreement.objectives]
    for index, one in enumerate(agreement.objectives):
        path = objective_path(agreement.objectives, index)
        if keys.index(one.key) != index:
            yield Problem(path, f"{one.key} is promised twice", "keep the one that is meant")
        if one.target_ppb >= WHOLE_PPB and not isinstance(one, Throughput):
            yield Problem(path, "this leaves no error budget: the first failure breaks it", _less_than_all(one))
        if one.target_ppb <= 0:
            yield Problem(path, "this is kept whatever happens", "promise something, or leave the objective out")
        if isinstance(one, Throughput) and one.part_ms > agreement.window_s * 1000:
            yield Problem(
                (*path, "per"), "one part is longer than the window", "judge shorter parts, or a longer `window`"
            )
    yield from _idle_percentiles(agreement)
    yield from _window(agreement)
    yield from _unseen(agreement)


def objective_path(objectives: Sequence[Objective], index: int) -> Path:
    """Where an objective stands in a file."""
    one = objectives[index]
    match one:
        case Uptime():
            return "objectives", "uptime"
        case ResponseTime():
            return "objectives", "responseTime", sum(isinstance(each, ResponseTime) for each in objectives[:index])
        case PacketLoss():
            return "objectives", "packetLoss"
        case Throughput():
            return "objectives", "throughput"


def _less_than_all(one: Objective) -> str:
    match one:
        case Uptime():
            return "promise less than 100, such as 99.9"
        case PacketLoss():
            return "allow more than 0, such as 0.1"
        case _:
            return "promise a percentile below 100, such as 99"


def _idle_percentiles(agreement: Agreement) -> Iterator[Problem]:
    """A promise for most requests that a promise for even more of them covers."""
    times = [(one, index) for index, one in enumerate(agreement.objectives) if isinstance(one, ResponseTime)]
    for lower, index in times:
        higher = [one for one, _ in times if one.target_ppb > lower.target_ppb]
        strictest = min(higher, key=lambda one: one.threshold_us, default=None)
        if strictest is not None and strictest.threshold_us <= lower.threshold_us:
            yield Problem(
                (*objective_path(agreement.objectives, index), "threshold"),
                f"{lower.key} at {_ms(lower.threshold_us)} can only break when {strictest.key} at "
                f"{_ms(strictest.threshold_us)} is broken",
                "give the lower percentile the shorter time, or leave it out",
            )


def _window(agreement: Agreement) -> Iterator[Problem]:
    if agreement.window_s % COUNT_PART_S:
        yield Problem(
            ("window",),
            "history is counted in parts of 5 minutes, and this is no multiple",
            "use whole 5 minutes, such as 28d",
        )


def _unseen(agreement: Agreement) -> Iterator[Problem]:
    """Promises that no probe can see."""
    kinds = [type(one) for one in agreement.objectives]
    if PacketLoss in kinds and not agreement.probes:
        yield Problem(
            ("objectives", "packetLoss"),
            "lost packets are seen by probes, and there are none",
            "add a probe, such as {kind: icmp, every: 1s, timeout: 300ms}",
        )
    slowest_us = max((one.threshold_us for one in agreement.objectives if isinstance(one, ResponseTime)), default=0)
    for index, probe in enumerate(agreement.probes):
        if probe.timeout_ms * MS_US < slowest_us:
            yield Problem(
                ("probes", index, "timeout"),
                f"a probe that gives up after {probe.timeout_ms} ms cannot see whether {_ms(slowest_us)} are kept",
                f"wait for at least {_ms(slowest_us)}",
            )


def _ms(time_us: int) -> str:
    return f"{time_us / MS_US:g} ms"
