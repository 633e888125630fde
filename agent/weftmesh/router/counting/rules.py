"""Which samples are events of which objective, and which of them are good; docs/ola.md says the same to people.

A ping asks a host, not a service: it counts for packet loss, and for the rest only where nothing but pings is agreed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from weftmesh.core.ola.model import (
    Agreement,
    Objective,
    PacketLoss,
    ProbeKind,
    ResponseTime,
    Throughput,
    Uptime,
)
from weftmesh.core.records import record
from weftmesh.router.samples import Sample, Source

Events = tuple[int, int]
"""Good ones, and all."""
NOTHING: Final[Events] = (0, 0)


@record(frozen=True, slots=True)
class Meaning:
    """What is counted for an objective: counts of the same meaning add up, whatever generation they are of.

    Attributes:
        agreement: its name.
        objective: its key.
        events: in words, which events there are and which are good.
        part_ms: of a throughput, how long a part of time is; 0 where events are counted.
        at_least: of a throughput, requests in a part.
    """

    agreement: str
    objective: str
    events: str
    part_ms: int = 0
    at_least: int = 0

    def is_good_part(self, answered: int, asked: int) -> bool:
        """Whether a part of time keeps the throughput: as much as promised was answered, or all that was asked."""
        return answered >= min(self.at_least, asked)


@record(frozen=True, slots=True)
class Rule:
    """How the samples of a route count for one objective.

    Attributes:
        meaning: what for.
        count: of one sample.
    """

    meaning: Meaning
    count: Callable[[Sample], Events]


def rules(agreement: Agreement) -> Iterator[Rule]:
    """One for each objective."""
    kinds = {one.kind for one in agreement.probes}
    with_pings = kinds == {ProbeKind.ICMP}
    for objective in agreement.objectives:
        words, count = _rule(objective, with_pings, ProbeKind.ICMP in kinds)
        part_ms, at_least = _parts(objective)
        yield Rule(Meaning(agreement.name, objective.key, words, part_ms, at_least), count)


def _rule(objective: Objective, with_pings: bool, has_pings: bool) -> tuple[str, Callable[[Sample], Events]]:
    scope = "with pings" if with_pings else "without pings"
    match objective:
        case Uptime():
            return f"answered without an error, {scope}", lambda sample: _uptime(sample, with_pings)
        case ResponseTime(threshold_us=threshold_us):
            return (
                f"answered within {threshold_us} us, {scope}",
                lambda sample: _response_time(sample, with_pings, threshold_us),
            )
        case PacketLoss():
            words = "pings that come back" if has_pings else "probes that are answered"
            return words, lambda sample: _packets(sample, has_pings)
        case Throughput():
            return "parts in which enough is answered", _requests


def _parts(objective: Objective) -> tuple[int, int]:
    return (objective.part_ms, objective.at_least) if isinstance(objective, Throughput) else (0, 0)


def _uptime(sample: Sample, with_pings: bool) -> Events:
    if sample.probe is ProbeKind.ICMP and not with_pings:
        return NOTHING
    return _good(sample), sample.sent


def _response_time(sample: Sample, with_pings: bool, threshold_us: int) -> Events:
    """Errors are left out: they are bad for the uptime, and often quick."""
    if sample.latency_us is None or (sample.probe is ProbeKind.ICMP and not with_pings):
        return NOTHING
    answered = _good(sample)
    return (answered if sample.latency_us <= threshold_us else 0), answered


def _packets(sample: Sample, has_pings: bool) -> Events:
    if sample.source is not Source.PROBE or (sample.probe is ProbeKind.ICMP) is not has_pings:
        return NOTHING
    return sample.answered, sample.sent


def _requests(sample: Sample) -> Events:
    """Sums of an xDS client do not say in which part of time its requests ended."""
    return (_good(sample), sample.sent) if sample.source is Source.REPORT else NOTHING


def _good(sample: Sample) -> int:
    return sample.answered if sample.ok else 0
