"""How nodes get certificates: the enrolment port and its tokens. Renewal is in `weftmesh.agent.renewal`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import grpc
import structlog

from weftmesh.agent.renewal import RenewalServicer, RenewalTask, ask_members
from weftmesh.core.errors import (
    AlreadyExistsError,
    OverloadedError,
    PreconditionError,
    UnauthenticatedError,
    WeftmeshError,
)
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc
from weftmesh.runtime.addresses import join_address, split_address
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import requested_key, to_der, utc_now
from weftmesh.runtime.identity.credentials import enrollment_server_credentials
from weftmesh.runtime.identity.enrolling import Seed
from weftmesh.runtime.identity.join_line import JoinLine, split_token
from weftmesh.runtime.identity.tokens import DEFAULT_TTL, TokenRecord, TokenStore
from weftmesh.runtime.names import check_name
from weftmesh.runtime.rpc import ErrorInterceptor, server_options

__all__ = [
    "EnrollmentListener",
    "EnrollmentServicer",
    "FailureLimiter",
    "RenewalServicer",
    "RenewalTask",
    "TokenRegistry",
    "ask_members",
]

MESSAGE_BYTES_MAX: Final = 64 * 1024
CONCURRENT_ENROLLMENTS_MAX: Final = 16
STOP_GRACE_S: Final = 5.0
# The wall clock may jump: how long tokens live is looked at again at least this often.
RECHECK_S_MAX: Final = 60.0
# The port's certificate lives for seven days; the port is opened anew well before that.
REOPEN_AFTER: Final = timedelta(days=3)

FAILURES_PER_HOST_MAX: Final = 5
FAILURE_WINDOW_S: Final = 60.0
FAILURE_DELAY_S: Final = 0.5
HOSTS_REMEMBERED_MAX: Final = 1024

Context = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger("weftmesh.enrolment")


class FailureLimiter:
    """Turns a host away for a while after `FAILURES_PER_HOST_MAX` refused attempts within `FAILURE_WINDOW_S`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, host: str) -> None:
        """Raise OverloadedError while the host has to wait."""
        failures = self._failures.get(host, deque())
        while failures and self._clock() - failures[0] > FAILURE_WINDOW_S:
            failures.popleft()
        if len(failures) >= FAILURES_PER_HOST_MAX:
            wait_s = FAILURE_WINDOW_S - (self._clock() - failures[0])
            raise OverloadedError(
                f"too many refused attempts to enroll from this host; try again in {wait_s:.0f} s",
                reason="RATE_LIMITED",
                metadata={"retry_after_ms": str(int(wait_s * 1000) + 1)},
            )

    def record_failure(self, host: str) -> None:
        """Count a refused attempt; hosts that were quiet the longest are forgotten first."""
        self._failures.setdefault(host, deque(maxlen=FAILURES_PER_HOST_MAX)).append(self._clock())
        self._failures.move_to_end(host)
        while len(self._failures) > HOSTS_REMEMBERED_MAX:
            self._failures.popitem(last=False)


class EnrollmentServicer(mesh_pb2_grpc.EnrollmentServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.mesh.v1.EnrollmentService where the authority is.

    Args:
        authority: signs.
        tokens: decides who may come in.
        seeds: members to tell a joiner, asked for at each call.
        is_member: whether a name belongs to a member.
        limiter: slows down guessing.
        clock: the wall clock.
        failure_delay_s: how long a refusal takes.
    """

    def __init__(
        self,
        authority: Authority,
        tokens: TokenStore,
        *,
        seeds: Callable[[], Sequence[Seed]],
        is_member: Callable[[str], bool],
        limiter: FailureLimiter | None = None,
        clock: Callable[[], datetime] = utc_now,
        failure_delay_s: float = FAILURE_DELAY_S,
    ) -> None:
        self._authority = authority
        self._tokens = tokens
        self._seeds = seeds
        self._is_member = is_member
        self._limiter = limiter or FailureLimiter()
        self._clock = clock
        self._failure_delay_s = failure_delay_s

    async def Enroll(self, request: mesh_pb2.EnrollRequest, context: Context) -> mesh_pb2.EnrollResponse:  # noqa: N802
        """See mesh.proto."""
        host = context.peer().rpartition(":")[0]
        self._limiter.check(host)
        try:
            return await self._enroll(request)
        except UnauthenticatedError as error:
            self._limiter.record_failure(host)
            log.warning("enrolment refused", host=host, node=request.node_name[:64], reason=error.reason)
            await asyncio.sleep(self._failure_delay_s)
            raise

    async def _enroll(self, request: mesh_pb2.EnrollRequest) -> mesh_pb2.EnrollResponse:
        """Check the token first, and everything that a joiner can mend before the token is used up."""
        node = request.node_name
        token_id, secret = split_token(request.token) or ("", "")
        record = self._tokens.verify(token_id, secret, node)
        check_name(node, what="the node")
        requested_key(request.signing_request_der)
        self._refuse_taken(node, record)
        await asyncio.to_thread(self._tokens.redeem, token_id, secret, node)
        certificate = self._authority.issue(request.signing_request_der, node, now=self._clock())
        log.info("node enrolled", node=node, token=token_id, serial=f"{certificate.serial_number:x}")
        return mesh_pb2.EnrollResponse(
            certificate_der=to_der(certificate),
            authority_der=self._authority.certificate_der,
            cluster=self._authority.cluster,
            seeds=[mesh_pb2.Member(name=seed.name, address=seed.address) for seed in self._seeds()],
        )

    def _refuse_taken(self, node: str, record: TokenRecord) -> None:
        """A member's name is given out again only by a token made for that very name: to a node that lost its own."""
        if self._is_member(node) and record.node_name != node:
            raise AlreadyExistsError(
                f"{node!r} is a member already: choose another name, or remove that member first; if this is the same"
                " node and its certificate is lost or expired, make a token for this name alone",
                reason="NODE_NAME_TAKEN",
            )


class EnrollmentListener:
    """Keeps the enrolment port open while join tokens live, and closed otherwise.

    Args:
        listen: host:port to listen on; port 0 for any.
        advertised_host: the host that joiners dial.
        authority: makes the port's certificate, whose chain shows the authority itself.
        tokens: decide whether the port is open.
        servicer: answers.
        clock: the wall clock.
    """

    def __init__(
        self,
        listen: str,
        advertised_host: str,
        authority: Authority,
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
        self._port = split_address(listen)[1]
        self._changed = asyncio.Event()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """host:port for joiners; the port is the bound one once the listener has been open."""
        return join_address(self._advertised_host, self._port)

    @property
    def is_open(self) -> bool:
        """Whether the port is listened on."""
        return self._server is not None

    async def start(self) -> None:
        """Open the port if tokens live from before, and see to it that it closes in time."""
        loop = asyncio.get_running_loop()

        def tell() -> None:
            loop.call_soon_threadsafe(self._changed.set)

        self._unsubscribe = self._tokens.subscribe(tell)
        self._watcher = asyncio.create_task(self._watch(), name="enrolment-listener")

    async def stop(self) -> None:
        """Close the port; calls that are under way get `STOP_GRACE_S`."""
        self._unsubscribe()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
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
            if self._server is not None and (not wanted or self._clock() - self._opened > REOPEN_AFTER):
                await self._close()
            if wanted and self._server is None:
                self._server = await self._open()

    async def _watch(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self.ensure()
            except PreconditionError as error:
                log.error("enrolment port cannot be opened", why=str(error))  # noqa: TRY400, the message says it all
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._pause_s())

    def _pause_s(self) -> float:
        """How long nothing changes by itself: until the last token expires, at most `RECHECK_S_MAX`."""
        until = self._tokens.live_until()
        left_s = RECHECK_S_MAX if until is None else (until - self._clock()).total_seconds()
        return min(max(left_s, 0.0), RECHECK_S_MAX)

    async def _open(self) -> grpc.aio.Server:
        server = grpc.aio.server(
            interceptors=[ErrorInterceptor()],
            options=server_options(MESSAGE_BYTES_MAX),
            maximum_concurrent_rpcs=CONCURRENT_ENROLLMENTS_MAX,
        )
        mesh_pb2_grpc.add_EnrollmentServiceServicer_to_server(self._servicer, server)
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
        self._opened = self._clock()
        log.info("enrolment port opened", address=self._listen, port=self._port)
        return server

    async def _close(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(STOP_GRACE_S)
            log.info("enrolment port closed", port=self._port)


class TokenRegistry:
    """Join tokens as MeshService shows them; on a node without the authority, every change is refused.

    Args:
        authority: whose fingerprint join lines carry; None where it is not.
        tokens: keeps them.
        listener: is opened for them; None where the authority is not.
    """

    def __init__(self, authority: Authority | None, tokens: TokenStore, listener: EnrollmentListener | None) -> None:
        self._authority = authority
        self._tokens = tokens
        self._listener = listener

    async def create(self, request: mesh_pb2.CreateJoinTokenRequest) -> mesh_pb2.JoinToken:
        """Make a token and open the enrolment port; only this answer has the join line.

        Raises:
            PreconditionError: the authority is on another node, or the port cannot be opened.
            InvalidInputError: the lifetime or the name is out of bounds.
            OverloadedError: as many tokens live as may.
        """
        authority, listener = self._here()
        ttl = request.ttl.ToTimedelta() if request.HasField("ttl") else DEFAULT_TTL
        if request.validate_only:
            return _shown(self._tokens.check_request(ttl, request.node_name))
        record, secret = await asyncio.to_thread(self._tokens.create, ttl, request.node_name)
        try:
            await listener.ensure()
        except WeftmeshError:
            await asyncio.to_thread(self._tokens.revoke, record.token_id)
            raise
        shown = _shown(record)
        shown.join_command = str(JoinLine(listener.address, record.token_id, secret, authority.pin))
        return shown

    def list(self) -> list[mesh_pb2.JoinToken]:
        """Every token that is remembered, without secrets, oldest first."""
        return [_shown(record) for record in self._tokens.records()]

    async def revoke(self, request: mesh_pb2.RevokeJoinTokenRequest) -> mesh_pb2.JoinToken:
        """Make a token useless at once.

        Raises:
            NotFoundError: there is no such token here.
            PreconditionError: it was used already.
        """
        if request.validate_only:
            return _shown(self._tokens.find(request.token_id))
        return _shown(await asyncio.to_thread(self._tokens.revoke, request.token_id))

    def _here(self) -> tuple[Authority, EnrollmentListener]:
        if self._authority is None or self._listener is None:
            raise PreconditionError(
                "the cluster's authority is not on this node; make join tokens on the node where the mesh was founded",
                reason="NO_AUTHORITY",
            )
        return self._authority, self._listener


def _shown(record: TokenRecord) -> mesh_pb2.JoinToken:
    shown = mesh_pb2.JoinToken(
        token_id=record.token_id, node_name=record.node_name, state=record.state.value, used_by=record.used_by
    )
    shown.expire_time.FromDatetime(record.expire_time)
    return shown
