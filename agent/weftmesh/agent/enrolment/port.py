"""The enrolment port: one-sided TLS, open only while join tokens live."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import grpc
import structlog

from weftmesh.agent.enrolment.host_gate import ARRIVAL_S, HostGate
from weftmesh.agent.enrolment.service import EnrollmentServicer
from weftmesh.core.errors import PreconditionError
from weftmesh.mesh.v1 import mesh_pb2_grpc
from weftmesh.runtime.addresses import join_address, split_address
from weftmesh.runtime.identity.authority import CLOCK_SKEW
from weftmesh.runtime.identity.certificates import utc_now
from weftmesh.runtime.identity.credentials import enrollment_server_credentials
from weftmesh.runtime.identity.signers import Signer
from weftmesh.runtime.identity.tokens import TokenStore
from weftmesh.runtime.rpc import ErrorInterceptor, server_options
from weftmesh.runtime.rpc_gate import GateInterceptor

MESSAGE_BYTES_MAX: Final = 64 * 1024
CONCURRENT_ENROLLMENTS_MAX: Final = 16
PORT_OPTIONS: Final = {"grpc.max_allowed_incoming_connections": 1_024, "grpc.max_concurrent_streams": 4}
"""Whoever calls here makes one call."""
STOP_GRACE_S: Final = 5.0
# The wall clock may jump: how long tokens live is looked at again at least this often.
RECHECK_S_MAX: Final = 60.0
# The port's certificate lives for seven days; the port is opened anew well before that.
REOPEN_AFTER: Final = timedelta(days=3)

log = structlog.get_logger("weftmesh.enrolment")


class EnrollmentListener:
    """Keeps the enrolment port open while join tokens live, and closed otherwise.

    Args:
        listen: host:port to listen on; port 0 for any.
        advertised_host: says which host joiners dial.
        authority: makes the port's certificate, whose chain shows the authority itself.
        tokens: decide whether the port is open.
        servicer: answers.
        clock: the wall clock.
    """

    def __init__(
        self,
        listen: str,
        advertised_host: Callable[[], str],
        authority: Signer,
        tokens: TokenStore,
        servicer: EnrollmentServicer,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._listen = listen
        self._advertised_host = advertised_host
        self._authority = authority
        self._tokens = tokens
        self._servicer = servicer
        self._clock = clock
        self._lock = asyncio.Lock()
        self._server: grpc.aio.Server | None = None
        self._opened = clock()
        self._opened_pin = ""
        self._port = split_address(listen)[1]
        self._changed = asyncio.Event()
        self._stopping = False
        self._unsubscribe: Callable[[], None] = lambda: None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """host:port for joiners; the port is the bound one once the listener has been open."""
        return join_address(self._advertised_host(), self._port)

    @property
    def is_open(self) -> bool:
        """Whether the port is listened on."""
        return self._server is not None

    @property
    def port(self) -> int | None:
        """What is listened on; None while the port is closed."""
        return self._port if self.is_open else None

    async def start(self) -> None:
        """Open the port if tokens live from before, and see to it that it closes in time."""
        self._stopping = False
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(self._changed.set)

        self._unsubscribe = self._tokens.subscribe(tell)
        self._watcher = asyncio.create_task(self._watch(), name="enrolment-listener")

    def recheck(self) -> None:
        """Look at once whether the port shows the authority that issues."""
        self._changed.set()

    async def stop(self) -> None:
        """Close the port; calls that are under way get `STOP_GRACE_S`."""
        self._unsubscribe()
        if self._watcher is not None:
            # Asked to end, not cancelled: it may be closing the port just now.
            self._stopping = True
            self._changed.set()
            await self._watcher
            self._watcher = None
        async with self._lock:
            await self._close()

    async def ensure(self) -> None:
        """Open or close the port, as the tokens demand now.

        Raises:
            PreconditionError: the address cannot be listened on.
        """
        async with self._lock:
            wanted = self._tokens.live_until() is not None
            # A clock that was far ahead and is corrected leaves a certificate that is not in force yet.
            timely = -CLOCK_SKEW < self._clock() - self._opened <= REOPEN_AFTER
            outdated = not timely or self._opened_pin != self._authority.pin
            if self._server is not None and (not wanted or outdated):
                await self._close()
            if wanted and self._server is None:
                self._server = await self._open()

    async def _watch(self) -> None:
        while not self._stopping:
            self._changed.clear()
            try:
                await self.ensure()
            except PreconditionError as error:
                log.error("enrolment port cannot be opened", why=str(error))  # noqa: TRY400, the message says it all
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._changed.wait()

    def _pause_s(self) -> float:
        """How long nothing changes by itself: until the last token expires, at most `RECHECK_S_MAX`."""
        until = self._tokens.live_until()
        left_s = RECHECK_S_MAX if until is None else (until - self._clock()).total_seconds()
        return min(max(left_s, 0.0), RECHECK_S_MAX)

    async def _open(self) -> grpc.aio.Server:
        server = grpc.aio.server(
            interceptors=[GateInterceptor(HostGate(), ARRIVAL_S), ErrorInterceptor()],
            options=list((dict(server_options(MESSAGE_BYTES_MAX)) | PORT_OPTIONS).items()),
            maximum_concurrent_rpcs=CONCURRENT_ENROLLMENTS_MAX,
        )
        mesh_pb2_grpc.add_EnrollmentServiceServicer_to_server(self._servicer, server)
        pin = self._authority.pin
        credentials = enrollment_server_credentials(self._authority.issue_enrollment(now=self._clock()))
        try:
            self._port = server.add_secure_port(self._listen, credentials)
        except RuntimeError as error:
            raise PreconditionError(
                f"cannot listen on {self._listen} for joining nodes ({error});"
                " free the port or set [mesh] enroll_listen",
                reason="PORT_IN_USE",
            ) from error
        await server.start()
        self._opened, self._opened_pin = self._clock(), pin
        log.info("enrolment port opened", address=self._listen, port=self._port)
        return server

    async def _close(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(STOP_GRACE_S)
            log.info("enrolment port closed", port=self._port)
