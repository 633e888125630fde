"""Certificates are renewed at two thirds of their life, by the key they were made for, without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final

import grpc
import structlog

from weftmesh.agent.trust.peer_clocks import nobody_disagrees
from weftmesh.core.errors import (
    ForbiddenError,
    PreconditionError,
    UnauthenticatedError,
    WeftmeshError,
)
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc
from weftmesh.runtime.identity.certificates import to_der, to_pem, utc_now
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel, peer_node
from weftmesh.runtime.identity.enrolling import Seed
from weftmesh.runtime.identity.in_force import check_in_force
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.identity.signers import Signer
from weftmesh.runtime.identity.store import IdentityStore
from weftmesh.runtime.rpc import from_rpc_error

RENEW_TIMEOUT_S: Final = 10.0
RETRY_S_MIN: Final = 5.0
RETRY_S_MAX: Final = 600.0
SLEEP_S_MAX: Final = 60.0
"""The wall clock may be set, which ends a certificate of the wrong time; and a suspended host counts no sleep."""
CLOCK_SETTLES_S: Final = 60.0
"""A machine that has just started may not know the time yet."""

Context = grpc.aio.ServicerContext[Any, Any]
Renew = Callable[[bytes], Awaitable[bytes]]

log = structlog.get_logger("weftmesh.renewal")


class RenewalServicer(mesh_pb2_grpc.RenewalServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.mesh.v1.RenewalService: a member gets a new certificate under the name of its present one.

    Args:
        authority: signs; None where it is not.
        cluster: this mesh.
        is_member: whether a name belongs to a member: a node that was removed keeps what it has and gets no more.
        check: raises what stands against a certificate, in PEM, before it is handed out.
        check_clock: raises what stands against dating one by this node's clock.
        clock: the wall clock.
    """

    def __init__(
        self,
        authority: Signer | None,
        cluster: str,
        *,
        is_member: Callable[[str], bool],
        check: Callable[[bytes], None] = lambda _pem: None,
        check_clock: Callable[[], Awaitable[None]] = nobody_disagrees,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._authority = authority
        self._cluster = cluster
        self._is_member = is_member
        self._check = check
        self._check_clock = check_clock
        self._clock = clock

    async def Renew(self, request: mesh_pb2.RenewRequest, context: Context) -> mesh_pb2.RenewResponse:  # noqa: N802
        """See mesh.proto."""
        node = peer_node(context.auth_context(), self._cluster)
        if node is None:
            raise UnauthenticatedError("certificates are renewed over the mesh port, for nodes of this mesh")
        return mesh_pb2.RenewResponse(certificate_der=await self.issue(node, request.signing_request_der))

    async def issue(self, node: str, signing_request_der: bytes) -> bytes:
        """Return a new certificate, in DER, for a node whose name is proven.

        Raises:
            PreconditionError: NO_AUTHORITY: the authority is on another node; CLOCK_DISAGREES.
            ForbiddenError: the node is no member.
            UnauthenticatedError: its certificates are revoked.
            InvalidInputError: the signing request is not acceptable.
        """
        if self._authority is None:
            raise PreconditionError("the cluster's authority is not on this node", reason="NO_AUTHORITY")
        if not self._is_member(node):
            raise ForbiddenError(f"{node!r} is not a member of this mesh, or no longer", reason="NOT_A_MEMBER")
        await self._check_clock()
        certificate = self._authority.issue(signing_request_der, node, now=self._clock())
        self._check(to_pem(certificate))
        log.info("certificate renewed for", node=node, serial=f"{certificate.serial_number:x}")
        return to_der(certificate)


class RenewalTask:
    """Renews this node's certificate in time, for as long as the process lives.

    Args:
        identity: is given each new certificate.
        store: has it first.
        renew: exchanges a signing request for a certificate, both DER; raises WeftmeshError when it cannot.
        is_stale: whether an identity is to be renewed before its time: its authority issues no more.
        clock: the wall clock.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        identity: NodeIdentity,
        store: IdentityStore,
        renew: Renew,
        *,
        is_stale: Callable[[IdentityMaterial], bool] = lambda _material: False,
        clock: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._identity = identity
        self._store = store
        self._renew = renew
        self._is_stale = is_stale
        self._clock = clock
        self._sleep = sleep
        self._hurried = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def hurry(self) -> None:
        """Look at once whether the certificate is to be renewed."""
        self._hurried.set()

    async def run(self) -> None:
        """Run until cancelled."""
        retry_s = RETRY_S_MIN
        was_early = False
        while True:
            self._hurried.clear()
            early = self._clock() < self._identity.material.not_before
            if early and not was_early:
                # More often than the certificate it is this clock that is wrong.
                await self._sleep(CLOCK_SETTLES_S)
                was_early = True
                continue
            was_early = early
            due_s = self._due_s(self._identity.material)
            if due_s > 0 and not self._is_stale(self._identity.material):
                await self._pause(min(due_s, SLEEP_S_MAX))
            elif await self._try():
                retry_s = RETRY_S_MIN
            else:
                await self._pause(retry_s)
                retry_s = min(retry_s * 2, RETRY_S_MAX)

    async def renew_now(self) -> IdentityMaterial:
        """Renew whether it is due or not; returns the identity that is in force then.

        Raises:
            PreconditionError: CLOCK_DISAGREES: what came is not in force here; what was, stays.
            WeftmeshError: nobody renewed it.
            OSError: the disk does not take it.
        """
        async with self._one_at_a_time:
            certificate_der = await self._renew(self._identity.material.signing_request())
            # Whom to trust may have changed meanwhile.
            renewed = self._identity.material.renewed(certificate_der)
            check_in_force("the certificate that came", renewed.not_before, renewed.not_after, self._clock())
            await asyncio.to_thread(self._store.save_certificate, renewed)
            renewed = self._identity.material.renewed(certificate_der)
            self._identity.replace(renewed)
        log.info("certificate renewed", node=renewed.node, valid_until=renewed.not_after.isoformat())
        return renewed

    async def _pause(self, duration_s: float) -> None:
        """Sleep, or less if somebody hurries."""
        waits = asyncio.ensure_future(self._sleep(duration_s)), asyncio.ensure_future(self._hurried.wait())
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _try(self) -> bool:
        try:
            renewed = await self.renew_now()
        except (WeftmeshError, OSError) as error:
            self._report(self._identity.material, error)
            return False
        # A certificate that is due for renewal at once would be renewed without end.
        return self._due_s(renewed) > 0 and not self._is_stale(renewed)

    def _due_s(self, material: IdentityMaterial) -> float:
        """One that is not in force yet is due now: it was made by a clock that has been corrected since."""
        now = self._clock()
        return (renewal_due(material) - now).total_seconds() if now >= material.not_before else 0.0

    def _report(self, material: IdentityMaterial, error: Exception) -> None:
        if self._clock() < material.not_after:
            log.warning("certificate not renewed", why=str(error), valid_until=material.not_after.isoformat())
        else:
            log.error(
                "certificate has expired: on a member run `weftmesh token create --for` this node, and join again here",
                why=str(error),
                node=material.node,
                expired=material.not_after.isoformat(),
            )


def renewal_due(material: IdentityMaterial) -> datetime:
    """When two thirds of a certificate's life are over."""
    return material.not_before + (material.not_after - material.not_before) * 2 / 3


def ask_members(identity: NodeIdentity, members: Callable[[], Sequence[Seed]]) -> Renew:
    """Return a way to renew by asking one member after the other, until one has the authority.

    Args:
        identity: this node's, which calls.
        members: whom to ask, in this order; this node itself is skipped.
    """

    async def renew(signing_request_der: bytes) -> bytes:
        refusals = []
        for member in members():
            if member.name != identity.node:
                try:
                    return await _ask(identity, member, signing_request_der)
                except WeftmeshError as error:
                    refusals.append(f"{member.name}: {error}")
        raise PreconditionError(
            "no member renewed this certificate: " + ("; ".join(refusals) or "none is known"), reason="NOT_RENEWED"
        )

    return renew


async def _ask(identity: NodeIdentity, member: Seed, signing_request_der: bytes) -> bytes:
    async with open_channel(identity, member.name, member.address) as channel:
        try:
            request = mesh_pb2.RenewRequest(signing_request_der=signing_request_der)
            response = await mesh_pb2_grpc.RenewalServiceStub(channel).Renew(request, timeout=RENEW_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
    return bytes(response.certificate_der)
