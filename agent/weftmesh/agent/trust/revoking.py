"""Revokes certificates, unless that would cost the mesh more than whoever asks has said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

import structlog
from cryptography import x509

from weftmesh.agent.enrolment.admission import Admission
from weftmesh.agent.raft.core.membership import Voters, quorum_size
from weftmesh.agent.raft.engine import RaftEngine
from weftmesh.agent.serving.requests import Call
from weftmesh.agent.trust.roll_call import ASK_S, RollCall
from weftmesh.agent.trust.writing import TrustLog
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.errors import InvalidInputError, NotFoundError, PreconditionError
from weftmesh.core.trust.commands import Readmit, Revoke
from weftmesh.core.trust.quorum import Shows, believed_without, owners_of
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
        roll: RollCall,
        admission: Admission,
        *,
        from_files: bool,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._identity = identity
        self._engine = engine
        self._log = log_
        self._roll = roll
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
        await self._log.require()
        status = self._engine.status()
        members = {**status.observers, **status.voters}
        # What is left of the time is for the log.
        shown = await self._roll.shown(members, min(ASK_S, call.remaining_s / 2))
        owners = owners_of(self._log.trust.read, shown, serial) if serial else []
        if request.node and owners and request.node not in owners:
            raise InvalidInputError(
                f"certificate {serial} is one of {', '.join(owners)}, not of {request.node}; see `weftmesh cert show`"
            )
        own = self._identity.node in owners
        node = request.node or (self._identity.node if own else "".join(owners[:1]))
        if not serial and node not in members and not request.force:
            raise NotFoundError(f"{node} is no member; see `weftmesh members`, or use --force for one that was removed")
        if not serial or own:
            self._check_own(self._identity.node if own else node, request)
        if not request.force:
            self._check_quorum(node, serial, shown, status.voters)
        make = partial(
            Revoke,
            node=node,
            serial=serial,
            why=request.reason or WHY_DEFAULT,
            expires_ms=round(self._end_of_certificates().timestamp() * 1000),
            voters=() if request.force else tuple(sorted(status.voters)),
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

    def _check_own(self, node: str, request: trust_pb2.RevokeCertificatesRequest) -> None:
        if node != self._identity.node:
            return
        if not request.own:
            raise PreconditionError(
                f"{node} is the node you talk to: it would be cut off at once. Do this on another member, or use --yes",
                reason="REVOKES_ITSELF",
            )
        if not request.force and self._admission.signers is not None:
            raise PreconditionError(
                f"{node} has the cluster's authority: cut off, it renews nobody's certificate. Move identity/ca.key to "
                "another member first, or use --force",
                reason="HAS_AUTHORITY",
            )

    def _check_quorum(self, node: str, serial: str, shown: Mapping[str, Shows], voters: Voters) -> None:
        """One rule for a node and for a serial number; one that nobody tells of may be that of a voter that is silent.

        The log looks at nodes once more when it applies this: two may be asked for at the same moment.
        """
        if not serial and node not in voters:
            return
        answering = {name: one for name, one in shown.items() if name in voters}
        left = believed_without(self._log.trust.read, answering, node, serial)
        needed = quorum_size(voters)
        if len(left) >= needed:
            return
        named = f"certificate {serial}" if serial else node
        silent = sorted(voters.keys() - shown.keys() - {node})
        raise PreconditionError(
            f"without {named} {len(left)} of {len(voters)} voters are left"
            + (f" (no answer from {', '.join(silent)})" if silent else "")
            + f", and {needed} are needed: nothing could be written any more. Add a voter first, or take the node out "
            f"with it: weftmesh cert revoke {node or 'NODE'} --remove; --force revokes all the same",
            reason="QUORUM_AT_RISK",
        )

    def _end_of_certificates(self) -> datetime:
        """By when every certificate that exists now has expired."""
        if not self._from_files:
            return self._clock() + CERTIFICATE_LIFETIME + CLOCK_SKEW
        authorities = map(x509.load_der_x509_certificate, self._identity.material.trusted.values())
        return max(one.not_valid_after_utc for one in authorities)
