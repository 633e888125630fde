"""Probes as ticks of the critical lane: what its child runs, and the form in which questions and answers go there.

The child asks with the same probers as the router itself. It does not load gRPC, whose threads are not for a process
that goes before all others.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from weftmesh.core.ola.model import Probe, ProbeKind
from weftmesh.core.records import record
from weftmesh.core.routing.model import Endpoint
from weftmesh.router.probing.answers import Answer, Prober
from weftmesh.router.probing.http import HttpProber
from weftmesh.router.probing.icmp import IcmpProber
from weftmesh.router.probing.names import Names
from weftmesh.router.probing.planning import RECHECK, RECHECK_MIN_S, RECHECKS
from weftmesh.router.probing.tcp import TcpProber
from weftmesh.runtime.lanes.registry import TICKS

MODULE: Final = "weftmesh.router.probing.lane_ticks"
TICK: Final = "probe"
KINDS: Final = frozenset({ProbeKind.TCP, ProbeKind.HTTP, ProbeKind.ICMP})
GRACE_S: Final = 1.0


@record(frozen=True, slots=True)
class TimedAnswer:
    """An answer, and when it came: the child's clocks are those of its parent."""

    answer: Answer
    ended_s: float
    wall_ms: int


def question(endpoint: Endpoint, probe: Probe, ca_file: Path | None) -> bytes:
    """A tick's payload."""
    asked = [endpoint.name, endpoint.address, probe.kind, probe.every_ms, probe.timeout_ms, probe.path, probe.tls]
    return json.dumps([*asked, None if ca_file is None else str(ca_file)]).encode()


def answers(payload: bytes) -> Iterator[TimedAnswer]:
    """What a tick's result says, the oldest first."""
    for ok, latency_us, server_us, problem, counts, ended_s, wall_ms in json.loads(payload):
        yield TimedAnswer(Answer(ok, latency_us, server_us, None, problem, counts), ended_s, wall_ms)


def tick_deadline_s(probe: Probe) -> float:
    """When even a tick that asks again and again is given up."""
    return (RECHECKS + 1) * (probe.timeout_ms / 1e3 + GRACE_S) + RECHECKS * _recheck_s(probe)


@TICKS.register(TICK)
async def ask(payload: bytes) -> bytes:
    """Ask an endpoint, and after a miss soon again, as the router's own plan does."""
    name, address, kind, every_ms, timeout_ms, path, tls, ca_file = json.loads(payload)
    probe = Probe(ProbeKind(kind), every_ms, timeout_ms, path, tls)
    prober, told = _prober(probe.kind, ca_file), []
    for _ in range(RECHECKS + 1):
        answer = await prober.ask(Endpoint(name, address), probe)
        when = (time.monotonic(), time.time_ns() // 1_000_000)
        told.append((answer.ok, answer.latency_us, answer.server_us, answer.problem, answer.counts, *when))
        if answer.ok or not answer.counts or probe.kind is ProbeKind.ICMP:
            break
        await asyncio.sleep(_recheck_s(probe))
    return json.dumps(told).encode()


def _recheck_s(probe: Probe) -> float:
    return max(RECHECK_MIN_S, RECHECK * probe.every_ms / 1e3)


@cache
def _names() -> Names:
    return Names()


@cache
def _prober(kind: ProbeKind, ca_file: str | None) -> Prober:
    if kind is ProbeKind.HTTP:
        return HttpProber(_names(), None if ca_file is None else Path(ca_file))
    return IcmpProber(_names()) if kind is ProbeKind.ICMP else TcpProber(_names())
