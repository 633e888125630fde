"""What came of probes so far, for people; and each answer, as a sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from weftmesh.core.ola.model import ProbeKind
from weftmesh.ola.v1 import agreement_pb2
from weftmesh.router.probing.answers import Answer
from weftmesh.router.probing.planning import Ask
from weftmesh.router.samples import Sample, Samples, Source
from weftmesh.routing.v1 import routing_pb2

_Key = tuple[str, str, ProbeKind]


@dataclass(slots=True)
class _Tally:
    """What came of one endpoint's probes of one kind.

    Attributes:
        sent: how many.
        answered: of them.
        latency_us: of the last one that was answered.
        problem: of the last one; empty when it was well.
    """

    sent: int = 0
    answered: int = 0
    latency_us: int | None = None
    problem: str = ""


class Tallies:
    """Of each endpoint of each route, by kind of probe.

    Args:
        samples: told of every answer that counts.
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._tallies: dict[_Key, _Tally] = {}

    def begin(self, asked: Iterable[Ask]) -> None:
        """Show these from now on, also before their first answers, and no others."""
        self._tallies = {key: self._tallies.get(key, _Tally()) for key in map(_key, asked)}

    def replace(self, gone: Iterable[Ask], wanted: Iterable[Ask]) -> None:
        """Forget those that are gone, unless they are wanted in another way."""
        for key in {_key(one) for one in gone} - {_key(one) for one in wanted}:
            self._tallies.pop(key, None)

    def states(self, route: str) -> Iterator[routing_pb2.ProbeState]:
        """Those of a route, by endpoint."""
        for (name, endpoint, kind), tally in sorted(self._tallies.items()):
            if name == route:
                yield routing_pb2.ProbeState(
                    endpoint=endpoint,
                    kind=agreement_pb2.ProbeKind.Name(kind),
                    sent=tally.sent,
                    answered=tally.answered,
                    last_rtt_us=tally.latency_us,
                    problem=tally.problem,
                )

    def take(self, ask: Ask, answer: Answer, ended_s: float, wall_ms: int) -> None:
        """Take an answer in.

        Args:
            ask: what was asked.
            answer: what came of it.
            ended_s: when, in the monotonic clock.
            wall_ms: the same, Unix time.
        """
        tally = self._tallies.setdefault(_key(ask), _Tally())
        tally.problem = answer.problem
        if not answer.counts:
            return
        answered = answer.latency_us is not None
        tally.sent += 1
        tally.answered += answered
        tally.latency_us = answer.latency_us if answered else tally.latency_us
        self._samples.take(
            Sample(
                ask.route,
                ask.endpoint.name,
                ended_s,
                wall_ms,
                Source.PROBE,
                answer.ok,
                answer.latency_us,
                answer.server_us,
                answer.load,
                ask.probe.kind,
                answered=int(answered),
            )
        )


def _key(ask: Ask) -> _Key:
    return ask.route, ask.endpoint.name, ask.probe.kind
