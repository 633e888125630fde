"""What guards the doors of a router: limits of callers, the doorkeeper, and the count of what both refuse."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from weftmesh.router.serving.call_limits import CallLimits, LocalGate
from weftmesh.runtime.config import RouterLimitsConfig
from weftmesh.runtime.doors.doorkeeper import Connections, Doorkeeper
from weftmesh.runtime.doors.refusals import Refusals

CONNECTIONS_BETWEEN_SWEEPS: Final = 4
"""How many times the allowed connections gRPC lets in before it closes further ones itself."""


class Guard:
    """Guards the xDS port and both local sockets.

    Args:
        limits: the settings.
        cluster: whose certificates count; None where no port is served.
        ports: that this process listens on now.
        sockets: that it listens on.

    Attributes:
        limits: the settings.
        refusals: counts by reason.
        connections: what calls tell of theirs.
        local: the gate of router.sock.
        xds: the gate of the xDS port and of xds.sock.
        doorkeeper: looks at connections.
        connections_max: for gRPC itself, on each server.
    """

    def __init__(
        self,
        limits: RouterLimitsConfig,
        cluster: str | None,
        ports: Callable[[], set[int]],
        sockets: Collection[Path],
    ) -> None:
        self.limits = limits
        self.refusals = Refusals(time.monotonic)
        self.connections = connections = Connections(time.monotonic)
        self.local = LocalGate(self.refusals)
        self.xds = CallLimits(limits, cluster, connections, self.refusals, time.monotonic)
        paths = [str(one) for one in sockets]
        self.doorkeeper = Doorkeeper(ports, connections, limits, self.refusals, time.monotonic, paths)
        self.connections_max = CONNECTIONS_BETWEEN_SWEEPS * limits.connections
