"""What the machine of trust and this node's identity know, as messages."""

from __future__ import annotations

from cryptography import x509
from google.protobuf.timestamp_pb2 import Timestamp

from weftmesh.core.clock import stamp_to_ms
from weftmesh.core.trust.rows import NodeCertificate, Revocation, TrustedAuthority
from weftmesh.mesh.v1 import trust_pb2
from weftmesh.runtime.identity.certificates import certificate_in, load_certificates
from weftmesh.runtime.identity.material import IdentityMaterial


def own_view(material: IdentityMaterial, *, from_files: bool) -> trust_pb2.ShownCertificate:
    """What this node shows."""
    chain = load_certificates(material.certificate_pem, what="node.pem")
    shown = trust_pb2.ShownCertificate(
        node=material.node,
        serial=material.serial,
        authority=material.authority_sha256,
        trusted=sorted(material.trusted),
        key_sha256=material.key_sha256,
        chain=[*(one.subject.rfc4514_string() for one in chain), chain[-1].issuer.rfc4514_string()],
        from_files=from_files,
    )
    shown.not_before.FromDatetime(material.not_before)
    shown.not_after.FromDatetime(material.not_after)
    return shown


def certificate_view(said: NodeCertificate) -> trust_pb2.ShownCertificate:
    """What a node said of itself."""
    return trust_pb2.ShownCertificate(
        node=said.node,
        serial=said.serial,
        not_before=_time(said.not_before_ms),
        not_after=_time(said.not_after_ms),
        authority=said.authority,
        trusted=said.trusted,
        key_sha256=said.key_sha256,
    )


def authority_view(authority: TrustedAuthority) -> trust_pb2.AuthorityView:
    """An authority that is trusted; without an end where the log holds what is no certificate."""
    shown = trust_pb2.AuthorityView(
        sha256=authority.sha256,
        state=authority.state.name.lower(),
        actor=authority.actor,
        since=_time(stamp_to_ms(authority.stamp)),
    )
    if (certificate := certificate_in(authority.certificate)) is not None:
        shown.not_after.FromDatetime(certificate.not_valid_after_utc)
    return shown


def present_authorities(material: IdentityMaterial) -> list[trust_pb2.AuthorityView]:
    """Whom this node trusts, where the mesh never rotated its authority."""
    views = []
    for sha256, certificate_der in material.trusted.items():
        shown = trust_pb2.AuthorityView(sha256=sha256, state="issuing")
        shown.not_after.FromDatetime(x509.load_der_x509_certificate(certificate_der).not_valid_after_utc)
        views.append(shown)
    return views


def revocation_view(revocation: Revocation) -> trust_pb2.RevocationView:
    """Something that is revoked."""
    return trust_pb2.RevocationView(
        node=revocation.node,
        serial=revocation.serial,
        reason=revocation.why,
        actor=revocation.actor,
        time=_time(stamp_to_ms(revocation.stamp)),
        expire_time=_time(revocation.expires_ms),
        readmitted=bool(revocation.allowed_keys),
        allowed_keys=revocation.allowed_keys,
    )


def _time(time_ms: int) -> Timestamp:
    shown = Timestamp()
    shown.FromMilliseconds(time_ms)
    return shown
