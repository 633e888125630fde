"""`weftmesh.mesh.v1.TrustService`, one typed method a call."""

from __future__ import annotations

from weftmesh.client.calls import Calls
from weftmesh.mesh.v1 import trust_pb2, trust_pb2_grpc


class TrustApi:
    """Certificates. Reads and what comes to the same when it is repeated are tried again until the timeout."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._stub = trust_pb2_grpc.TrustServiceStub(calls.channel)

    async def get_certificates(
        self, request: trust_pb2.GetCertificatesRequest | None = None, *, timeout_s: float | None = None
    ) -> trust_pb2.CertificatesView:
        """What a node shows and trusts, and what the log says of all."""
        result: trust_pb2.CertificatesView = await self._calls.read(
            self._stub.GetCertificates, request or trust_pb2.GetCertificatesRequest(), timeout_s
        )
        return result

    async def ask_member(self, node: str, *, timeout_s: float) -> trust_pb2.CertificatesView:
        """What another member shows, asked once by the node; how that member refuses the node is an error here, too.

        Raises:
            UnauthenticatedError: CERTIFICATE_REVOKED: the member takes the node's certificate no more.
            ForbiddenError: NOT_A_MEMBER: the node is none, as the member knows it.
            WeftmeshError: it was not reached, or did not answer.
        """
        request = trust_pb2.GetCertificatesRequest(node=node)
        result: trust_pb2.CertificatesView = await self._calls.once(self._stub.GetCertificates, request, timeout_s)
        return result

    async def renew_certificate(self, *, timeout_s: float | None = None) -> trust_pb2.ShownCertificate:
        """Renew the answering node's certificate now."""
        request = trust_pb2.RenewCertificateRequest()
        result: trust_pb2.ShownCertificate = await self._calls.once(self._stub.RenewCertificate, request, timeout_s)
        return result

    async def revoke_certificates(
        self, request: trust_pb2.RevokeCertificatesRequest, *, timeout_s: float | None = None
    ) -> trust_pb2.RevokeCertificatesResponse:
        """Revoke one certificate, or every one of a node."""
        result: trust_pb2.RevokeCertificatesResponse = await self._calls.repeated(
            self._stub.RevokeCertificates, request, timeout_s
        )
        return result

    async def readmit_certificate(
        self, request: trust_pb2.ReadmitCertificateRequest, *, timeout_s: float | None = None
    ) -> trust_pb2.ReadmitCertificateResponse:
        """Accept a revoked node again by a certificate that was issued elsewhere."""
        result: trust_pb2.ReadmitCertificateResponse = await self._calls.repeated(
            self._stub.ReadmitCertificate, request, timeout_s
        )
        return result

    async def rotate_authority(
        self, request: trust_pb2.RotateAuthorityRequest, *, timeout_s: float | None = None
    ) -> trust_pb2.RotationView:
        """Go a step further in replacing the authority."""
        result: trust_pb2.RotationView = await self._calls.repeated(self._stub.RotateAuthority, request, timeout_s)
        return result
