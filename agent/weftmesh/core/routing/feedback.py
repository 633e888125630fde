"""What a node knows of one endpoint: from the answers it got, from the load that answers carry, and from probes.

Nothing here asks for more than an answer can bring: its latency and outcome, and, where the endpoint says so in
trailing metadata or a probe's reply, how long it worked, how much it holds and how much it can hold at once. Where it
does not, the working time is what the latency has above the shortest round trip.
"""

from __future__ import annotations

import math
from typing import Final

from weftmesh.core.records import record
from weftmesh.core.routing.model import Endpoint, Reading

SERVICE_PRIOR_S: Final = 0.010
"""Of an endpoint that nobody has heard of yet: quick, so that it is tried."""
SERVICE_MIN_S: Final = 1e-5
"""Nothing is done in no time."""
BAD_PRIOR: Final = 0.005
"""Bad share that is assumed with the weight of `_PRIOR_SAMPLES` requests."""
_PRIOR_SAMPLES: Final = 2.0
SLOW_TAU_S: Final = 20.0
"""Time constant of the mean that weights follow."""
SERVICE_TAU_S: Final = 4.0
"""An endpoint that says how long it works means the mean of about so long."""
HELD_TAU_S: Final = 5.0
"""Time constant of the mean load that ejections look at: what comes and goes within a second is none."""
OTHERS_TAU_S: Final = 2.0
"""How long the load that others put on an endpoint is believed."""
BAD_TAU_S: Final = 4.0
"""How fast bad requests are forgotten."""
FORGET_TAU_S: Final = 8.0
"""How fast a working time that no request confirms is taken for the usual one: what makes a recovery noticed."""
EXCESS_S: Final = 0.1
"""An answer that took this much longer on the way than the path usually does was held up there."""
CONFIDENCE_Z: Final = 1.0
"""Of the one-sided lower bound: 84 %."""
DEAD_PROBES: Final = 3
"""So many probes without an answer in a row."""
WORKING_MAX_S: Final = 3_600.0
"""Nobody works for longer on a request."""
REQUESTS_MAX: Final = 1e6
"""And nobody holds or works on more of them. Means would have to forget what is said beyond for hours, or for ever."""


@record(frozen=True, slots=True)
class Load:
    """What an endpoint says of itself.

    Attributes:
        service_s: mean time of late that it worked on one request, without waiting.
        in_flight: requests that it holds, waiting ones included.
        capacity: requests that it works on at once.
    """

    service_s: float
    in_flight: float
    capacity: float

    @property
    def can_be(self) -> bool:
        """Whether it makes sense; what does not is no word about the endpoint."""
        return (
            0.0 <= self.service_s <= WORKING_MAX_S
            and 0.0 <= self.in_flight <= REQUESTS_MAX
            and 0.0 < self.capacity <= REQUESTS_MAX
        )


class DecayingMean:
    """A mean in which what is `tau_s` old counts for 1/e; exact for irregular times.

    Args:
        tau_s: the time constant.
        start: its value before the first sample.
    """

    __slots__ = ("_at_s", "_sum", "_tau_s", "value", "weight")

    def __init__(self, tau_s: float, start: float = 0.0) -> None:
        self._tau_s = tau_s
        self._at_s = -math.inf
        self._sum = 0.0
        self.weight = 0.0
        """How many samples stand behind it, at the time of the last one."""
        self.value = start

    def add(self, now_s: float, sample: float) -> None:
        """Take a sample in; time that runs backwards counts as none."""
        keep = math.exp(min(0.0, (self._at_s - now_s) / self._tau_s))
        self._at_s = max(self._at_s, now_s)
        self.weight = self.weight * keep + 1.0
        self._sum = self._sum * keep + sample
        self.value = self._sum / self.weight


def lower_bound(bad: float, samples: float, z: float = CONFIDENCE_Z) -> float:
    """The lower end of the Wilson score interval of a share (E. B. Wilson, 1927).

    Args:
        bad: how many of the samples were bad; neither needs to be whole.
        samples: how many there were.
        z: the quantile of the normal distribution that belongs to the confidence.
    """
    if samples <= 0.0:
        return 0.0
    share = bad / samples
    square = z * z
    middle = share + square / (2.0 * samples)
    half = z * math.sqrt(share * (1.0 - share) / samples + square / (4.0 * samples * samples))
    return max(0.0, min(share, (middle - half) / (1.0 + square / samples)))


class EndpointFeedback:
    """One endpoint, as one node sees it. Times are seconds in one clock that does not run backwards."""

    __slots__ = (
        "_bad",
        "_bad_at_s",
        "_held",
        "_probes_missed",
        "_samples",
        "_service_slow",
        "bad_lower",
        "capacity",
        "fresh_at_s",
        "heard_at_s",
        "in_flight",
        "name",
        "others",
        "outlook",
        "rtt_s",
        "service_s",
    )

    def __init__(self, endpoint: Endpoint, now_s: float) -> None:
        self.name = endpoint.name
        self.capacity = max(1.0, endpoint.capacity)
        self.in_flight = 0
        """This node's own requests that are not answered yet."""
        self.others = 0.0
        """Requests of others that the endpoint held when it was last heard of."""
        self.heard_at_s = now_s
        self.service_s = SERVICE_PRIOR_S
        self.fresh_at_s = -math.inf
        """When a request last confirmed `service_s`."""
        self.rtt_s = 0.0
        self.bad_lower = 0.0
        self.outlook = 1.0
        """What a predictor expects `service_s` to be multiplied by; 1 without one."""
        self._service_slow = DecayingMean(SLOW_TAU_S, SERVICE_PRIOR_S)
        self._held = DecayingMean(HELD_TAU_S)
        self._bad = 0.0
        self._samples = 0.0
        self._bad_at_s = now_s
        self._probes_missed = 0

    def sent(self) -> None:
        """A request is on its way there."""
        self.in_flight += 1

    def abandoned(self) -> None:
        """A request was given up by whoever made it: no word about the endpoint."""
        self.in_flight = max(0, self.in_flight - 1)

    def answered(self, now_s: float, latency_s: float, ok: bool, server_s: float | None, load: Load | None) -> None:
        """A request ended.

        Args:
            now_s: when.
            latency_s: since it was sent.
            ok: False for an error or a timeout.
            server_s: how long the endpoint held it, if the answer says so.
            load: what the endpoint says of itself, if the answer says so.
        """
        self.in_flight = max(0, self.in_flight - 1)
        if not ok:
            self._count(now_s, 1.0)
            return
        self._probes_missed = 0
        if server_s is None:
            # Without word from the endpoint the shortest way is all the network there is.
            network_s = min(self.rtt_s or latency_s, latency_s)
            self._confirm(now_s, self.service_s + 0.1 * (latency_s - network_s - self.service_s))
        else:
            network_s = max(0.0, latency_s - server_s)
        self._count(now_s, 1.0 if self._travelled(network_s) else 0.0)
        if load is not None:
            self._hear(now_s, load)

    def counted(self, now_s: float, good: int, bad: int) -> None:
        """Requests of others ended, and nobody said how long they took.

        Args:
            now_s: when.
            good: how many were answered.
            bad: how many were errors or not answered in time.
        """
        self.refresh(now_s)
        self._bad += bad
        self._samples += good + bad
        self.refresh(now_s)

    def probed(self, now_s: float, rtt_s: float | None, ok: bool, load: Load | None) -> None:
        """A probe ended; `rtt_s` is None when nothing came back. It counts as a request, but not for `service_s`."""
        if rtt_s is None or not ok:
            self._probes_missed += 1
            self._count(now_s, 1.0)
            return
        self._probes_missed = 0
        self._count(now_s, 1.0 if self._travelled(rtt_s) else 0.0)
        if load is not None:
            self._hear(now_s, load)

    def refresh(self, now_s: float) -> float:
        """Forget what has grown old, and return the lower bound of the bad share; for every tenth of a second or so."""
        keep = math.exp(min(0.0, (self._bad_at_s - now_s) / BAD_TAU_S))
        self._bad_at_s = max(self._bad_at_s, now_s)
        self._bad *= keep
        self._samples *= keep
        samples = self._samples + _PRIOR_SAMPLES
        self.bad_lower = lower_bound(self._bad + BAD_PRIOR * _PRIOR_SAMPLES, samples)
        return self.bad_lower

    def reading(self, now_s: float) -> Reading:
        """What a table's decision is computed from."""
        return Reading(
            self.name,
            self._service_slow.value,
            self.rtt_s,
            self.refresh(now_s),
            self._held.value if self._held.weight else float(self.in_flight),
            self._samples,
            self._probes_missed < DEAD_PROBES,
        )

    def _count(self, now_s: float, bad: float) -> None:
        keep = math.exp(min(0.0, (self._bad_at_s - now_s) / BAD_TAU_S))
        self._bad_at_s = max(self._bad_at_s, now_s)
        self._bad = self._bad * keep + bad
        self._samples = self._samples * keep + 1.0
        if bad:
            self.refresh(now_s)

    def _travelled(self, network_s: float) -> bool:
        """Take a time on the way in; whether something held it up there."""
        if self.rtt_s == 0.0:
            self.rtt_s = network_s
            return False
        held_up = network_s > self.rtt_s + EXCESS_S
        # A retransmission says nothing of the path's length, so it moves the mean less than a normal round trip.
        self.rtt_s += (0.02 if held_up else 0.1) * (network_s - self.rtt_s)
        return held_up

    def _hear(self, now_s: float, load: Load) -> None:
        if not load.can_be:
            return
        self.others = max(0.0, load.in_flight - self.in_flight)
        self._held.add(now_s, load.in_flight)
        self.heard_at_s = now_s
        self.capacity = max(1.0, load.capacity)
        if load.service_s != self.service_s:
            self._confirm(now_s, load.service_s)

    def _confirm(self, now_s: float, service_s: float) -> None:
        if not math.isfinite(service_s):
            return
        self.service_s = min(max(SERVICE_MIN_S, service_s), WORKING_MAX_S)
        self.fresh_at_s = now_s
        self._service_slow.add(now_s, self.service_s)
