"""The xDS server of a router: tables in, clients follow; their load reports come out as samples."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import grpc
import structlog

from weftmesh.core.errors import ConfigError, PreconditionError
from weftmesh.router.config import default_limits
from weftmesh.router.samples import Samples
from weftmesh.router.serving import sockets
from weftmesh.router.serving.guard import Guard
from weftmesh.router.xds.admission import Admission, EveryNode
from weftmesh.router.xds.catalog import next_catalog
from weftmesh.router.xds.clients import ClientState
from weftmesh.router.xds.discovery import Discovery
from weftmesh.router.xds.loads import EndpointId, Loads
from weftmesh.router.xds.snapshot import RouteSnapshot
from weftmesh.runtime.doors.cutting import CertificateGate, RevocationInterceptor, disproving
from weftmesh.runtime.identity.credentials import NodeIdentity, server_credentials
from weftmesh.runtime.lanes.slicing import returned
from weftmesh.runtime.rpc import ErrorInterceptor, server_options
from weftmesh.runtime.rpc_gate import GateInterceptor

RESPONSE_BYTES_MAX: Final = 64 * 1024 * 1024
"""The first response about clusters lists all of them."""
STREAMS_MAX: Final = 100
"""Calls under way on one connection: a client needs two, and a proxy some more."""
CALLS_BESIDE_MAX: Final = 1_024
"""Calls under way beside those that follow and those that report; each of them is about to be refused."""
STOP_GRACE_S: Final = 0.5
"""Streams stay open until they are cut; clients keep what they have and come back."""

_log = structlog.stdlib.get_logger("weftmesh.xds")


class XdsServer:
    """Serves xDS v3 (LDS, RDS, CDS, EDS over ADS, both forms) and LRS. Belongs to one event loop.

    Args:
        samples: takes what clients report of their requests.
        socket: where programs of this machine connect, without TLS: its mode and directory say who may.
        group: that may use the socket; empty for the process's own.
        listen: host:port for everybody else, under mutual TLS 1.3; port 0 takes a free one.
        identity: this node's, for `listen`.
        guard: bounds callers and connections; by default as the configuration does, with nobody to sweep.
        gate: whose certificates are good on `listen`; `recheck` when that changes.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        guard: Guard | None = None,
        socket: Path | None = None,
        group: str = "",
        listen: str | None = None,
        identity: NodeIdentity | None = None,
        gate: CertificateGate | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if socket is None and listen is None:
            raise ConfigError("xDS needs a socket or an address to listen on")
        if listen is not None and identity is None:
            raise ConfigError(f"xDS on {listen} needs this node's certificate; there is no listening without TLS")
        self._socket = socket
        self._group = group
        self._listen = listen
        self._identity = identity
        self._clock = clock
        cluster = identity.cluster if identity is not None else None
        self._guard = guard or Guard(default_limits(), cluster, set, ())
        gate = gate or EveryNode()
        self._revocations = RevocationInterceptor(gate)
        self._revocations.on_refusal = disproving(self._guard.connections)
        admission = Admission(cluster, gate)
        self._discovery = Discovery(admission, self._guard.xds, clock)
        self._loads = Loads(admission, self._guard.xds, lambda: self._discovery.catalog, samples, clock)
        self._refused: frozenset[str] = frozenset()
        """Why routes cannot be told; each reason is logged once while it lasts."""
        self._server: grpc.aio.Server | None = None
        self.port = 0
        """Of `listen`, once started."""

    async def start(self) -> None:
        """Listen.

        Raises:
            PreconditionError: another process listens there.
            ConfigError: the socket cannot be made.
        """
        # A server that was stopped cannot be started again.
        limits = self._guard.limits
        options = dict(server_options(limits.max_message_bytes)) | {
            "grpc.max_send_message_length": RESPONSE_BYTES_MAX,
            "grpc.max_concurrent_streams": STREAMS_MAX,
            "grpc.max_allowed_incoming_connections": self._guard.connections_max,
        }
        server = grpc.aio.server(
            interceptors=[GateInterceptor(self._guard.xds), ErrorInterceptor(), self._revocations],
            options=list(options.items()),
            maximum_concurrent_rpcs=2 * limits.watchers + CALLS_BESIDE_MAX,
        )
        server.add_generic_rpc_handlers((self._discovery.handler(), self._loads.handler()))
        if self._socket is not None:
            sockets.bind(server, self._socket, self._group)
        if self._listen is not None and self._identity is not None:
            try:
                self.port = server.add_secure_port(self._listen, server_credentials(self._identity))
            except RuntimeError as error:
                raise PreconditionError(
                    f"xDS cannot listen on {self._listen}: {error}; free it, or choose another address"
                ) from error
        await server.start()
        self._server = server

    def recheck(self) -> None:
        """Cut whoever follows or reports with a certificate that is no longer good."""
        self._revocations.cut()

    async def set_routes(self, routes: Mapping[str, RouteSnapshot]) -> None:
        """Tell all clients. Routes that are absent are gone. One call at a time.

        Resources are made in short steps, and told all at once. A route that cannot be told keeps what was told of it
        before, and is logged.
        """
        catalog, refused = await returned(next_catalog(self._discovery.catalog, routes.values()))
        said, self._refused = self._refused, frozenset(str(one.error) for one in refused)
        for one in (one for one in refused if str(one.error) not in said):
            _log.warning("a table cannot be told to xDS clients", route=one.route, error=str(one.error))
        self._discovery.publish(catalog)

    def clients(self) -> tuple[ClientState, ...]:
        """Who follows the tables now, and how quickly."""
        return self._discovery.clients.states(self._clock())

    def in_progress(self) -> Counter[EndpointId]:
        """Requests under way by route and endpoint, as clients last reported."""
        return self._loads.in_progress()

    async def stop(self) -> None:
        """Cut all streams; clients go on with what they were told last."""
        if self._server is not None:
            await self._server.stop(STOP_GRACE_S)
            self._server = None
            if self._socket is not None:
                self._socket.unlink(missing_ok=True)
