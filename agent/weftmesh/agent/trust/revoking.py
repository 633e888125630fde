"""Revokes certificates, unless that would cost the mesh more than whoever asks has said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

import structlog
from cryptography import x509

from weftmesh.agent.enrolment.admission import Admission
from weftmesh.agent.raft.core.membership import quorum_size
from weftmesh.agent.raft.engine import RaftEngine
from weftmesh.agent.serving.requests import Call
from weftmesh.agent.trust.gate import Gate
from weftmesh.agent.trust.writing import TrustLog
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.errors import InvalidInputError, NotFoundError, PreconditionError
from weftmesh.core.trust.commands import Readmit, Revoke
from weftmesh.core.trust.rows import NodeCertificate
from weftmesh.mesh.v1 import trust_pb2
from weftmesh.runtime.identity.authority import CERTIFICATE_LIFETIME, CLOCK_SKEW
from weftmesh.runtime.identity.certificates import UNREADABLE, key_sha256, node_of, utc_now
from weftmesh.runtime.identity.credentials import NodeIdentity

log = structlog.get_logger("weftmesh.trust")

WHY_DEFAULT: Final = "revoked by an administrator"


class Revoking:
    """Answers RevokeCertificates and ReadmitCertificate."""

    def __init__(
        self,
        identity: NodeIdentity,
        engine: RaftEngine,
        log_: TrustLog,
        gate: Gate,
        admission: Admission,
        *,
        from_files: bool,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._identity = identity
        self._engine = engine
        self._log = log_
        self._gate = gate
        self._admission = admission
        self._from_files = from_files
        self._clock = clock

    async def revoke(
        self, request: trust_pb2.RevokeCertificatesRequest, call: Call
    ) -> trust_pb2.RevokeCertificatesResponse:
        """Revoke one certificate, or all that a node has.

        Raises:
            PreconditionError: REVOKES_ITSELF, HAS_AUTHORITY, QUORUM_AT_RISK: more is at stake than was said.
            NotFoundError: there is no such member.
            WeftmeshError: as `TrustLog.write` does.
        """
        serial = request.serial.lower().replace(":", "").lstrip("0")
        if not serial and (request.serial or not request.node):
            raise InvalidInputError("name a node, or a serial number; `weftmesh cert show` lists both")
        shown_by = self._whose(serial)
        if request.node and shown_by not in ("", request.node):
            raise InvalidInputError(
                f"certificate {serial} is one of {shown_by}, not of {request.node}; see `weftmesh cert show`"
            )
        node = request.node or shown_by
        if not serial or serial == self._shown_serial(node):
            self._check_stakes(node, request, by_serial=bool(serial))
        make = partial(
            Revoke,
            node=node,
            serial=serial,
            why=request.reason or WHY_DEFAULT,
            expires_ms=round(self._end_of_certificates().timestamp() * 1000),
            voters=() if request.force else tuple(sorted(self._engine.status().voters)),
        )
        outcome = await self._log.write(make, call.caller.actor, call.remaining_s, validate_only=request.validate_only)
        if not request.validate_only:
            log.warning("revoked", node=node, serial=serial or "all", by=call.caller.actor, why=request.reason)
        changed = outcome.kind is OutcomeKind.APPLIED
        return trust_pb2.RevokeCertificatesResponse(
            revision=outcome.revision, changed=changed, node=node, serial=serial
        )

    async def readmit(
        self, request: trust_pb2.ReadmitCertificateRequest, call: Call
    ) -> trust_pb2.ReadmitCertificateResponse:
        """Accept a revoked node again by the key of a certificate that was issued elsewhere.

        Raises:
            InvalidInputError: that is no certificate of a node of this mesh.
            WeftmeshError: as `TrustLog.write` does.
        """
        try:
            certificate = x509.load_der_x509_certificate(request.certificate_der)
            key = key_sha256(certificate.public_key())
        except UNREADABLE as error:
            raise InvalidInputError(
                f"that is no certificate ({error}); send the new one of the node, as it was issued",
                reason="CERTIFICATE_INVALID",
            ) from error
        node, cluster = node_of(certificate)
        if cluster != self._identity.cluster:
            raise InvalidInputError(f"that is a certificate of mesh {cluster!r}, this is {self._identity.cluster!r}")
        make = partial(Readmit, node=node, key_sha256=key)
        outcome = await self._log.write(make, call.caller.actor, call.remaining_s, validate_only=request.validate_only)
        changed = outcome.kind is OutcomeKind.APPLIED
        return trust_pb2.ReadmitCertificateResponse(node=node, key_sha256=key, changed=changed)

    def _whose(self, serial: str) -> str:
        """The node that shows the certificate of a serial number; empty when nobody says so."""
        if serial == self._identity.material.serial:
            return self._identity.node
        return next((one.node for one in self._log.trust.read.certificates() if one.serial == serial), "")

    def _shown_serial(self, node: str) -> str:
        if node == self._identity.node:
            return self._identity.material.serial
        said: NodeCertificate | None = self._log.trust.read.certificate_of(node)
        return said.serial if said is not None else ""

    def _check_stakes(self, node: str, request: trust_pb2.RevokeCertificatesRequest, *, by_serial: bool) -> None:
        status = self._engine.status()
        if not by_serial and node not in {**status.voters, **status.observers} and not request.force:
            raise NotFoundError(f"{node} is no member; see `weftmesh members`, or use --force for one that was removed")
        if node == self._identity.node and not request.own:
            raise PreconditionError(
                f"{node} is the node you talk to: it would be cut off at once. Do this on another member, or use --yes",
                reason="REVOKES_ITSELF",
            )
        if request.force:
            return
        if node == self._identity.node and self._admission.signers is not None:
            raise PreconditionError(
                f"{node} has the cluster's authority: cut off, it renews nobody's certificate. Move identity/ca.key to "
                "another member first, or use --force",
                reason="HAS_AUTHORITY",
            )
        self._check_quorum(node)

    def _check_quorum(self, node: str) -> None:
        status = self._engine.status()
        if node not in status.voters:
            return
        answering = {peer.name for peer in status.peers if peer.connected} | {self._identity.node}
        left = {one for one in answering & status.voters.keys() if one != node and self._gate.may_dial(one)}
        needed = quorum_size(status.voters)
        if len(left) < needed:
            raise PreconditionError(
                f"without {node} {len(left)} of {len(status.voters)} voters are left, and {needed} are needed: nothing "
                f"could be written any more. Add a voter first, or take {node} out with it: weftmesh cert revoke "
                f"{node} --remove; --force revokes all the same",
                reason="QUORUM_AT_RISK",
            )

    def _end_of_certificates(self) -> datetime:
        """By when every certificate that exists now has expired."""
        if not self._from_files:
            return self._clock() + CERTIFICATE_LIFETIME + CLOCK_SKEW
        authorities = map(x509.load_der_x509_certificate, self._identity.material.trusted.values())
        return max(one.not_valid_after_utc for one in authorities)
