"""Lets a joiner in: checks its token and its signing request, then signs. Guessing is slow and limited by host."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final

import grpc
import structlog

from weftmesh.agent.trust.peer_clocks import nobody_disagrees
from weftmesh.core.errors import AlreadyExistsError, OverloadedError
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc
from weftmesh.runtime.identity.certificates import key_sha256, requested_key, to_der, utc_now
from weftmesh.runtime.identity.enrolling import Seed
from weftmesh.runtime.identity.join_line import split_token
from weftmesh.runtime.identity.signers import Signer
from weftmesh.runtime.identity.tokens import TokenRecord, TokenRefusedError, TokenStore
from weftmesh.runtime.names import check_name

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


async def _nobody_is_revoked(_node: str, _key_sha256: str) -> None:
    """Where nothing was ever revoked, every node that has a token is welcome."""


def _unnoticed(_node: str, _host: str, _serial: str, _refusal: str) -> None:
    """Nobody keeps a record."""


class EnrollmentServicer(mesh_pb2_grpc.EnrollmentServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.mesh.v1.EnrollmentService where the authority is.

    Args:
        authority: signs.
        tokens: decides who may come in.
        seeds: members to tell a joiner, asked for at each call.
        is_member: whether a name belongs to a member.
        trusted: the certificates in DER of all authorities that members trust; empty for the one that signs alone.
        check_clock: raises what stands against dating a certificate by this node's clock.
        notice: told of each attempt with a token: the node, its host, and the certificate's serial number or why not.
        readmit: called with the node and the fingerprint of its new key before it gets a certificate.
        limiter: slows down guessing.
        clock: the wall clock.
        failure_delay_s: how long a refusal takes.
    """

    def __init__(
        self,
        authority: Signer,
        tokens: TokenStore,
        *,
        seeds: Callable[[], Sequence[Seed]],
        is_member: Callable[[str], bool],
        trusted: Callable[[], Sequence[bytes]] = lambda: (),
        readmit: Callable[[str, str], Awaitable[None]] = _nobody_is_revoked,
        check_clock: Callable[[], Awaitable[None]] = nobody_disagrees,
        notice: Callable[[str, str, str, str], None] = _unnoticed,
        limiter: FailureLimiter | None = None,
        clock: Callable[[], datetime] = utc_now,
        failure_delay_s: float = FAILURE_DELAY_S,
    ) -> None:
        self._authority = authority
        self._tokens = tokens
        self._seeds = seeds
        self._is_member = is_member
        self._trusted = trusted
        self._readmit = readmit
        self._check_clock = check_clock
        self._notice = notice
        self._limiter = limiter or FailureLimiter()
        self._clock = clock
        self._failure_delay_s = failure_delay_s

    async def Enroll(self, request: mesh_pb2.EnrollRequest, context: Context) -> mesh_pb2.EnrollResponse:  # noqa: N802
        """See mesh.proto."""
        host = context.peer().rpartition(":")[0]
        self._limiter.check(host)
        try:
            return await self._enroll(request, host)
        except TokenRefusedError as error:
            self._limiter.record_failure(host)
            log.warning("enrolment refused", why=error.why, host=host, node=request.node_name[:64])
            self._notice(request.node_name[:64], host, "", error.reason)
            await asyncio.sleep(self._failure_delay_s)
            raise

    async def _enroll(self, request: mesh_pb2.EnrollRequest, host: str) -> mesh_pb2.EnrollResponse:
        """Check the token first, and everything that a joiner can mend before the token is used up."""
        node = request.node_name
        token_id, secret = split_token(request.token) or ("", "")
        record = self._tokens.verify(token_id, secret, node)
        check_name(node, what="the node")
        key = requested_key(request.signing_request_der)
        self._refuse_taken(node, record, request.keeps_log)
        await self._check_clock()
        await self._readmit(node, key_sha256(key))
        await asyncio.to_thread(self._tokens.redeem, token_id, secret, node, is_member=self._is_member(node))
        certificate = self._authority.issue(request.signing_request_der, node, now=self._clock())
        self._notice(node, host, f"{certificate.serial_number:x}", "")
        log.info("node enrolled", node=node, join_id=token_id, serial=f"{certificate.serial_number:x}")
        return mesh_pb2.EnrollResponse(
            certificate_der=to_der(certificate),
            authority_der=self._authority.certificate_der,
            trusted_der=self._trusted(),
            cluster=self._authority.cluster,
            seeds=[mesh_pb2.Member(name=seed.name, address=seed.address) for seed in self._seeds()],
        )

    def _refuse_taken(self, node: str, record: TokenRecord, keeps_log: bool) -> None:
        """A member's name is given out again only by a token made for it, and only to a node that still has its log.

        One that lost its log may have acknowledged what it no longer has, and could help to elect a leader without it.
        """
        if not self._is_member(node) or (keeps_log and record.node_name == node):
            return
        raise AlreadyExistsError(
            f"{node!r} is a member already: choose another name, or remove that member first with: weftmesh members rm"
            f" {node}; if this is that node, its data are there and its certificate has expired, make a token for it"
            f" alone with: weftmesh token create --for {node}",
            reason="NODE_NAME_TAKEN",
        )
