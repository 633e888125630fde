"""What guards the doors of a node: limits of callers, the doorkeeper, and the count of what both refuse."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from weftmesh.agent.serving.call_limits import CallLimits
from weftmesh.agent.serving.caller_keys import CallerKeys
from weftmesh.runtime.config import LimitsConfig
from weftmesh.runtime.doors.doorkeeper import Connections, Doorkeeper
from weftmesh.runtime.doors.refusals import Refusals

CONNECTIONS_BETWEEN_SWEEPS: Final = 4
"""How many times the allowed connections gRPC lets in before it closes further ones itself; changes with a restart."""


class Guard:
    """Guards the mesh port, the enrolment port and the local socket.

    Args:
        limits: the settings.
        cluster: whose certificates count.
        nonce: of the relay before the private socket.
        ports: that this process listens on now.

    Attributes:
        refusals: counts by reason.
        connections: what calls tell of theirs.
        calls: the gate of the servers.
        doorkeeper: looks at connections.
        connections_max: for gRPC itself, on each port.
    """

    def __init__(self, limits: LimitsConfig, cluster: str, nonce: bytes, ports: Callable[[], set[int]]) -> None:
        self.refusals = Refusals(time.monotonic)
        self.connections = connections = Connections(time.monotonic)
        keys = CallerKeys(cluster, nonce)
        self.calls = CallLimits(limits, keys, connections, self.refusals, time.monotonic)
        self.doorkeeper = Doorkeeper(ports, connections, limits, self.refusals, time.monotonic)
        self.connections_max = CONNECTIONS_BETWEEN_SWEEPS * limits.connections

    def follow(self, limits: LimitsConfig) -> None:
        """Take over changed settings."""
        self.calls.follow(limits)
        self.doorkeeper.follow(limits)
