"""What a probe comes to."""

from __future__ import annotations

from typing import Protocol

from weftmesh.core.ola.model import Probe
from weftmesh.core.records import record
from weftmesh.core.routing.feedback import Load
from weftmesh.core.routing.model import Endpoint


@record(frozen=True, slots=True)
class Answer:
    """One probe that ended.

    Attributes:
        ok: whether the endpoint is well, as far as this kind of probe can tell.
        latency_us: until the answer; None when nothing came back.
        server_us: the part of it that the endpoint took, where that can be told.
        load: what the endpoint says of itself, where it does.
        problem: why it is not ok, for people; empty otherwise.
        counts: False where nothing was sent, since this machine does not allow it: no word about the endpoint.
    """

    ok: bool
    latency_us: int | None
    server_us: int | None = None
    load: Load | None = None
    problem: str = ""
    counts: bool = True


class Prober(Protocol):
    """Asks endpoints in one way."""

    async def ask(self, endpoint: Endpoint, probe: Probe) -> Answer:
        """Ask once; never raises, and never takes much longer than the probe's timeout."""

    async def close(self) -> None:
        """Let go of sockets."""


def refused(problem: str, latency_us: int | None = None) -> Answer:
    """The endpoint answered, and is not well; or said that it will not answer."""
    return Answer(ok=False, latency_us=latency_us, problem=problem)


def silent(timeout_ms: int) -> Answer:
    """Nothing came back in time."""
    return Answer(ok=False, latency_us=None, problem=f"no answer within {timeout_ms} ms")


def in_time(answer: Answer, timeout_ms: int) -> Answer:
    """The answer, unless it came too late and was heard only because the loop was late as well."""
    late = answer.latency_us is not None and answer.latency_us > timeout_ms * 1_000
    return silent(timeout_ms) if late else answer
