"""Controls of the mesh port: certificates both ways, TLS 1.3 alone, how old certificates get, revocation."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from typing import Final

from weftmesh.cli.controls.evidence import Evidence, State, Subject, unknown
from weftmesh.cli.controls.handshakes import Handshake, shake_hands
from weftmesh.core.errors import WeftmeshError
from weftmesh.runtime.addresses import local_address
from weftmesh.runtime.identity.founding import identity_store
from weftmesh.runtime.identity.material import IdentityMaterial

LIFETIME_MAX_DAYS: Final = 8.1
"""Seven days as the authority of a mesh issues certificates, and the day before for clocks that are behind."""
_NEED_KEY: Final = "the node's own certificate and key, which root and the node's user can read"


async def mutual_tls(subject: Subject) -> Evidence:
    """The server's chain is checked, and a client without a certificate is turned away."""
    address = _own_port(subject)
    command = f"openssl s_client -connect {address} -alpn h2 </dev/null"
    try:
        own = await _shake(subject, with_certificate=True)
        without = await _shake(subject, with_certificate=False)
    except (WeftmeshError, OSError) as error:
        return unknown(str(error), _NEED_KEY, command)
    if not own.accepted:
        return unknown(f"the port did not take the node's own certificate: {own.said}", address, command)
    if without.accepted:
        return Evidence(State.FAILS, "a client without a certificate was taken", address, command)
    value = f"with the node's certificate: {own.version}, chain verified; without one: {without.said}"
    return Evidence(State.HOLDS, value, f"two handshakes with {address}", command)


async def tls13_only(subject: Subject) -> Evidence:
    """A client that speaks TLS 1.2 at most comes to no handshake, with a certificate that is taken otherwise."""
    address = _own_port(subject)
    command = f"openssl s_client -connect {address} -tls1_2 </dev/null"
    try:
        newest = await _shake(subject, with_certificate=True)
        older = await _shake(subject, with_certificate=True, newest=ssl.TLSVersion.TLSv1_2)
    except (WeftmeshError, OSError) as error:
        return unknown(str(error), _NEED_KEY, command)
    if not newest.accepted:
        return unknown(f"the port did not take the node's own certificate: {newest.said}", address, command)
    if older.version or older.accepted:
        return Evidence(State.FAILS, f"{older.version} was agreed on", address, command)
    value = f"TLS 1.2: {older.said}; else {newest.version}"
    return Evidence(State.HOLDS, value, f"two handshakes with {address}", command)


async def certificate_age(subject: Subject) -> Evidence:
    """The certificate is in force, and lives for days only."""
    view = await subject.client.trust.get_certificates()
    own, command = view.own, "weftmesh cert show"
    begins, ends = (one.ToDatetime(tzinfo=UTC) for one in (own.not_before, own.not_after))
    days, left = (ends - begins).total_seconds() / 86_400, ends - datetime.now(UTC)
    value = f"serial {own.serial}, lives {days:.1f} days, {left.total_seconds() / 86_400:.1f} left"
    source = "the certificate that the node shows"
    if begins > datetime.now(UTC):
        return Evidence(State.FAILS, f"{value}: it is not in force yet", source, command)
    if left.total_seconds() <= 0:
        return Evidence(State.FAILS, f"{value}: it has expired", source, command)
    if own.from_files:
        return Evidence(State.NOT_IN_USE, f"{value}; it comes from files that others look after", source, command)
    state = State.HOLDS if days <= LIFETIME_MAX_DAYS else State.FAILS
    return Evidence(state, value, source, command)


async def revocation(subject: Subject) -> Evidence:
    """Nobody is connected as a member whose certificate is revoked."""
    view = await subject.client.trust.get_certificates()
    command, source = "weftmesh cert show", "the replicated log, and the node's connections"
    revoked = {one.node for one in view.revocations if not one.readmitted and not one.serial}
    single = sum(1 for one in view.revocations if one.serial)
    if not view.revocations:
        return Evidence(State.NOT_IN_USE, "no certificate was ever revoked", source, command)
    connected = {one.name for one in subject.status.members if one.connected}
    if caught := sorted(revoked & connected):
        return Evidence(State.FAILS, f"revoked, and connected: {', '.join(caught)}", source, command)
    value = f"none of {len(revoked)} revoked nodes is connected"
    if single:
        # A node may go on with another certificate, and its connection does not say here which one it is.
        value = f"{value}; {single} single certificates are revoked, and who is connected with which one is not seen"
    return Evidence(State.HOLDS if revoked or not single else State.UNKNOWN, value, source, command)


async def _shake(
    subject: Subject, *, with_certificate: bool, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> Handshake:
    material = await asyncio.to_thread(_material, subject)
    return await asyncio.to_thread(
        shake_hands,
        _own_port(subject),
        material,
        with_certificate=with_certificate,
        newest=newest,
    )


def _own_port(subject: Subject) -> str:
    """Where the node is reached from here: the name that it tells others need not be known on its own machine."""
    return subject.status.listen_address if subject.config is None else local_address(subject.config.mesh.listen)


def _material(subject: Subject) -> IdentityMaterial:
    if subject.config is None:
        raise WeftmeshError(f"{subject.config_file} cannot be read")
    return identity_store(subject.config.node.data_dir).load()
