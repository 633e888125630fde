"""The TrustService: each method hands on to its part."""

from __future__ import annotations

from weftmesh.agent.enrolment.admission import Admission
from weftmesh.agent.raft.engine import RaftEngine
from weftmesh.agent.serving.callers import Callers, Context
from weftmesh.agent.serving.requests import Call, call_of
from weftmesh.agent.trust.revoking import Revoking
from weftmesh.agent.trust.roll_call import RollCall
from weftmesh.agent.trust.rotating import Rotating
from weftmesh.agent.trust.views import (
    authority_view,
    certificate_view,
    own_view,
    present_authorities,
    revocation_view,
)
from weftmesh.agent.trust.writing import TrustLog
from weftmesh.core.errors import NotFoundError, PreconditionError
from weftmesh.mesh.v1 import trust_pb2, trust_pb2_grpc
from weftmesh.runtime.identity.credentials import NodeIdentity


class TrustServicer(trust_pb2_grpc.TrustServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Serves weftmesh.mesh.v1.TrustService; trust.proto documents each method."""

    def __init__(
        self,
        identity: NodeIdentity,
        callers: Callers,
        log_: TrustLog,
        admission: Admission,
        revoking: Revoking,
        rotating: Rotating,
        engine: RaftEngine,
        roll: RollCall,
        *,
        from_files: bool,
    ) -> None:
        self._identity = identity
        self._callers = callers
        self._log = log_
        self._admission = admission
        self._revoking = revoking
        self._rotating = rotating
        self._engine = engine
        self._roll = roll
        self._from_files = from_files

    async def GetCertificates(  # noqa: N802
        self, request: trust_pb2.GetCertificatesRequest, context: Context
    ) -> trust_pb2.CertificatesView:
        """See trust.proto."""
        self._callers.of(context)
        if request.node not in ("", self._identity.node):
            return await self._ask(request.node, call_of(self._callers.local(context), context))
        read, material = self._log.trust.read, self._identity.material
        return trust_pb2.CertificatesView(
            own=own_view(material, from_files=self._from_files),
            reported=map(certificate_view, read.certificates()),
            authorities=[authority_view(one) for one in read.authorities()] or present_authorities(material),
            revocations=map(revocation_view, read.revocations()),
            phase=read.phase.name.lower(),
            has_authority=self._admission.signers is not None,
        )

    async def _ask(self, node: str, call: Call) -> trust_pb2.CertificatesView:
        status = self._engine.status()
        address = {**status.observers, **status.voters}.get(node)
        if address is None:
            raise NotFoundError(f"{node[:80]} is no member; see `weftmesh members`")
        return await self._roll.ask(node, address, call.remaining_s)

    async def RenewCertificate(  # noqa: N802
        self,
        request: trust_pb2.RenewCertificateRequest,  # noqa: ARG002
        context: Context,
    ) -> trust_pb2.ShownCertificate:
        """See trust.proto."""
        self._callers.local(context)
        if self._from_files:
            raise PreconditionError(
                'this node\'s certificate comes from files ([tls] mode = "files"): put a new one there, and it is '
                "taken within seconds",
                reason="FROM_FILES",
            )
        return own_view(await self._admission.renewing.renew_now(), from_files=False)

    async def RevokeCertificates(  # noqa: N802
        self, request: trust_pb2.RevokeCertificatesRequest, context: Context
    ) -> trust_pb2.RevokeCertificatesResponse:
        """See trust.proto."""
        return await self._revoking.revoke(request, call_of(self._callers.local(context), context))

    async def ReadmitCertificate(  # noqa: N802
        self, request: trust_pb2.ReadmitCertificateRequest, context: Context
    ) -> trust_pb2.ReadmitCertificateResponse:
        """See trust.proto."""
        return await self._revoking.readmit(request, call_of(self._callers.local(context), context))

    async def RotateAuthority(  # noqa: N802
        self, request: trust_pb2.RotateAuthorityRequest, context: Context
    ) -> trust_pb2.RotationView:
        """See trust.proto."""
        return await self._rotating.rotate(request, call_of(self._callers.local(context), context))
