"""Three backends and what is promised of them: as agreement files, and in the words of the wire's log.

Delays are such that answers fall into groups tens of milliseconds apart, and most thresholds lie between groups: a busy
machine moves no answer over them. Those that lie within a group on purpose are named as being at the edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.netns.lab import PORTS, Lab, Plan
from tests.netns.recomputation import Objectives

PLANS: Final = (
    Plan("steady", delay_us=5_000, jitter_us=1_000),
    Plan("lossy", delay_us=10_000, jitter_us=3_000, arriving_lost_permille=60, leaving_lost_permille=40),
    Plan("failing", delay_us=45_000, arriving_lost_permille=5, failing_permille=40),
)
"""Round trips of 10 to 12, 20 to 26 and 90 ms; a request takes two, and 200 ms or more when a segment gets lost."""
ADDRESSES: Final = 2
"""Of each backend: one for what is probed by pings alone, whose pings would be those of others otherwise."""
PING_TIMEOUT_MS: Final = 225
CONNECTION_TIMEOUT_MS: Final = 600
"""Above what one lost segment costs, and below what two in a row or a lost SYN do."""
_TEMPLATE: Final = """apiVersion: weftmesh/v1
kind: OLA
metadata: {{name: {name}}}
spec:
  provider: team-{name}
  consumer: everybody
  service: {name}
  window: 1d
  objectives: {objectives}
  probes: [{probes}]
  endpoints: [{endpoints}]
"""
_PING: Final = f"{{kind: icmp, every: {PING_TIMEOUT_MS + 25}ms, timeout: {PING_TIMEOUT_MS}ms}}"
_CONNECT: Final = f"{{kind: tcp, every: {CONNECTION_TIMEOUT_MS + 50}ms, timeout: {CONNECTION_TIMEOUT_MS}ms}}"
_REQUEST: Final = f"{{kind: http, path: /, every: {CONNECTION_TIMEOUT_MS + 50}ms, timeout: {CONNECTION_TIMEOUT_MS}ms}}"


@dataclass(frozen=True, slots=True)
class Promise:
    """One agreement.

    Attributes:
        name: of it, and of its service.
        thresholds_ms: response times by percentile.
        probes: as in its file.
        port: which is probed; 0 where only pings count.
        address: which of a backend's addresses.
        uptime: in percent.
        loss: at most, in percent, where it is promised.
        edge: keys of objectives whose threshold lies within a group of answers.
    """

    name: str
    thresholds_ms: dict[str, int]
    probes: tuple[str, ...]
    port: int
    address: int
    uptime: str
    loss: str = ""
    edge: frozenset[str] = frozenset()

    @property
    def keys(self) -> frozenset[str]:
        """Of its objectives."""
        times = {f"response-time-p{percentile}" for percentile in self.thresholds_ms}
        return frozenset({"uptime", *times, *(["packet-loss"] if self.loss else [])})

    def file(self, lab: Lab) -> str:
        """The agreement as YAML."""
        times = ", ".join(
            f"{{percentile: {percentile}, threshold: {threshold_ms}ms}}"
            for percentile, threshold_ms in self.thresholds_ms.items()
        )
        loss = f", packetLoss: {self.loss}" if self.loss else ""
        endpoints = [
            f'{{name: {name}, address: "{backend.addresses[self.address]}:{self.port or PORTS[0]}"}}'
            for name, backend in lab.backends.items()
        ]
        return _TEMPLATE.format(
            name=self.name,
            objectives=f"{{uptime: {self.uptime}, responseTime: [{times}]{loss}}}",
            probes=", ".join(self.probes),
            endpoints=", ".join(endpoints),
        )

    def in_log(self, lab: Lab) -> Objectives:
        """The same for the log."""
        addresses = [one.addresses[self.address] for one in lab.backends.values()]
        thresholds_us = {percentile: ms * 1_000 for percentile, ms in self.thresholds_ms.items()}
        return Objectives(frozenset(addresses), self.port, thresholds_us, bool(self.loss))


PROMISES: Final = (
    Promise("web", {"50": 71, "99": 225}, (_PING, _CONNECT, _REQUEST), PORTS[0], 0, "95", "5"),
    Promise("gate", {"50": 23}, (_CONNECT,), PORTS[1], 0, "95", edge=frozenset({"response-time-p50"})),
    Promise("hosts", {"50": 23, "90": 55}, (_PING,), 0, 1, "90", edge=frozenset({"response-time-p50"})),
)
