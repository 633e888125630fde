"""The joiner's side of enrolment: nothing is sent until the authority's fingerprint matches the join line's."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import grpc
from cryptography import x509

from weftmesh.core.errors import ForbiddenError, NodeUnreachableError, UnknownOutcomeError, WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc
from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.identity.certificates import (
    UNREADABLE,
    fingerprint,
    key_to_pem,
    make_key,
    make_signing_request,
    utc_now,
)
from weftmesh.runtime.identity.credentials import open_enrollment_channel
from weftmesh.runtime.identity.in_force import check_in_force
from weftmesh.runtime.identity.join_line import JoinLine
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.names import check_name
from weftmesh.runtime.rpc import from_rpc_error

ENROLL_TIMEOUT_S: Final = 15.0
CHAIN_LENGTH_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Seed:
    """A member to reach first."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What enrolment gives: an identity, and whom to call with it."""

    material: IdentityMaterial
    seeds: tuple[Seed, ...]


async def enroll(
    line: JoinLine,
    node_name: str,
    *,
    keeps_log: bool = False,
    timeout_s: float = ENROLL_TIMEOUT_S,
    clock: Callable[[], datetime] = utc_now,
) -> Enrolled:
    """Make a key here and have it certified; `keeps_log` says that this is a member whose certificate has expired.

    Raises:
        ForbiddenError: another authority answers; nothing was sent to it.
        PreconditionError: CLOCK_DISAGREES: by this clock its certificate is not in force; nothing was sent to it.
        NodeUnreachableError: nobody answers there, or not as an enrolment port does.
        UnauthenticatedError: the token is unknown, used, expired or revoked.
        InvalidInputError: the name is not acceptable.
        AlreadyExistsError: a member has this name.
    """
    check_name(node_name, what="the node")
    offered = await asyncio.to_thread(offered_chain, line.address, timeout_s=timeout_s)
    authority_der = _pinned(offered, line)
    for shown_der in (offered[0], authority_der):
        _check_in_force(shown_der, line, clock())
    key = make_key()
    request = mesh_pb2.EnrollRequest(
        token=line.token,
        node_name=node_name,
        signing_request_der=make_signing_request(key, node_name),
        keeps_log=keeps_log,
    )
    authority_pem = _pem(authority_der)
    async with open_enrollment_channel(authority_pem, line.address) as channel:
        try:
            response = await mesh_pb2_grpc.EnrollmentServiceStub(channel).Enroll(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _failure(error, line) from error
    material = IdentityMaterial.assemble(
        # Whom else the members trust, while the authority is replaced, is told by whom the line's fingerprint proved.
        authority_pem=b"".join(map(_pem, response.trusted_der)) or authority_pem,
        certificate_pem=_pem(response.certificate_der),
        key_pem=key_to_pem(key),
    )
    if (material.node, material.cluster) != (node_name, response.cluster):
        raise ForbiddenError(
            f"{line.address} certified {material.node!r} of {material.cluster!r} where {node_name!r} was asked for",
            reason="CERTIFICATE_INVALID",
        )
    return Enrolled(material, tuple(Seed(member.name, member.address) for member in response.seeds))


def _check_in_force(shown_der: bytes, line: JoinLine, now: datetime) -> None:
    """Of a handshake that fails, gRPC does not say why."""
    try:
        shown = x509.load_der_x509_certificate(shown_der)
    except UNREADABLE:
        return  # the handshake refuses it
    what = f"a certificate that {line.address} shows"
    check_in_force(what, shown.not_valid_before_utc, shown.not_valid_after_utc, now)


def _pem(certificate_der: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(certificate_der).encode()


def _failure(error: grpc.aio.AioRpcError, line: JoinLine) -> WeftmeshError:
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return UnknownOutcomeError(
            f"no answer from {line.address} in time; try again, and make a new token if this one counts as used"
        )
    return from_rpc_error(error)


def offered_chain(address: str, *, timeout_s: float) -> list[bytes]:
    """Return the certificates that the server at "host:port" shows, leaf first, in DER; nothing is sent to it.

    None of them is verified: the caller compares the authority with what it was told.

    Raises:
        NodeUnreachableError: nobody answers there, or not in TLS 1.3.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection(split_address(address), timeout=timeout_s) as connection,
            context.wrap_socket(connection) as secured,
        ):
            return _unverified_chain(secured)[:CHAIN_LENGTH_MAX]
    except OSError as error:
        raise NodeUnreachableError(
            f"no enrolment port answers at {address} ({error}); it is open only while a join token lives:"
            " check the address and the firewall, or make a new token with: weftmesh token create",
            reason="ENROLLMENT_UNREACHABLE",
        ) from error


def _unverified_chain(secured: ssl.SSLSocket) -> list[bytes]:
    """What Python 3.13 has as `SSLSocket.get_unverified_chain`; 3.10 to 3.12 keep it one object further in."""
    public: Any = getattr(secured, "get_unverified_chain", None)
    if public is not None:
        return list(public())
    inner: Any = secured._sslobj  # type: ignore[attr-defined]  # see above
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in inner.get_unverified_chain() or []]


def _pinned(offered: list[bytes], line: JoinLine) -> bytes:
    for certificate_der in offered:
        if fingerprint(certificate_der) == line.authority_sha256:
            return certificate_der
    raise ForbiddenError(
        f"the certificate authority at {line.address} is not the one this line was made for: either the address is of"
        " another mesh, or somebody is in between; nothing was sent. Ask for a new line, made on a member with:"
        " weftmesh token create",
        reason="AUTHORITY_MISMATCH",
    )
