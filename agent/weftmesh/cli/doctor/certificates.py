"""How long this node's certificate, the authority's and the peers' are in force."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.cli.doctor.patient import Patient
from weftmesh.cli.doctor.remedies import FOUNDER
from weftmesh.cli.doctor.survey import Survey
from weftmesh.core.errors import InvalidInputError, PreconditionError
from weftmesh.runtime.identity.certificates import load_certificate, node_of, utc_now

CHECK: Final = "certificates"
AUTHORITY_WARNING: Final = timedelta(days=90)
"""Time to plan what every node takes part in."""
PEER_WARNING: Final = timedelta(days=1)
FILES_WARNING: Final = timedelta(days=7)
"""For certificates that somebody else looks after."""
RENEWAL_GRACE: Final = timedelta(hours=2)
"""After two thirds of its life a certificate is renewed; an authority that is away for so long is no fault."""


async def check_certificates(patient: Patient) -> list[Finding]:
    """Compare validity with this node's clock."""
    try:
        own = _read(patient, "node.pem")
        authority = _read(patient, "ca.pem")
        node, _ = node_of(own)
    except FileNotFoundError as error:
        return [Finding(CHECK, Severity.SKIPPED, "no certificate to look at", f"{error.filename} is missing")]
    except InvalidInputError as error:
        raise PreconditionError(f"node.pem: {error}") from error
    survey = await patient.survey()
    now = utc_now()
    findings = [*_authority(patient, authority, now), *_own(patient, survey, own, node, now), *_peers(patient, survey)]
    if findings:
        return findings
    until = f"this node's until {_day(own.not_valid_after_utc)}, the authority's {_day(authority.not_valid_after_utc)}"
    return [Finding(CHECK, Severity.OK, "in force", until)]


def _own(
    patient: Patient, survey: Survey, certificate: x509.Certificate, node: str, now: datetime
) -> Iterator[Finding]:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    evidence = f"in force from {_day(begins)} to {_day(ends)}; this node's clock says {_day(now)}"
    again = patient.remedies.restart() if survey.own else (patient.remedies.start(),)
    if now < begins:
        fixes = patient.remedies.set_clock("")
        yield Finding(CHECK, Severity.FAILURE, "this node's certificate is not in force yet", evidence, fixes)
    elif patient.config.tls.from_files:
        yield from _own_of_files(patient.config.tls.cert_file, ends, now, evidence)
    elif now > ends:
        renewed: tuple[Fix, ...] = ()  # where the authority is, the agent renews it by itself
        if not patient.identity.has_authority:
            renewed = (patient.remedies.token(f"--for {node}", FOUNDER, "this node"),)
        summary = "this node's certificate has expired"
        yield Finding(CHECK, Severity.FAILURE, summary, evidence, (*renewed, *again))
    elif now > begins + (ends - begins) * 2 / 3 + RENEWAL_GRACE:
        yield Finding(CHECK, Severity.WARNING, "this node's certificate was not renewed in time", evidence, again)


def _own_of_files(file: str, ends: datetime, now: datetime, evidence: str) -> Iterator[Finding]:
    """Whoever issues it elsewhere has to renew it; what is put there is taken over by itself."""
    if now > ends:
        yield Finding(
            CHECK, Severity.FAILURE, f"this node's certificate has expired: put a new one to {file}", evidence
        )
    elif now > ends - FILES_WARNING:
        yield Finding(CHECK, Severity.WARNING, f"this node's certificate ends soon: put a new one to {file}", evidence)


def _authority(patient: Patient, certificate: x509.Certificate, now: datetime) -> Iterator[Finding]:
    ends = certificate.not_valid_after_utc
    evidence = f"in force until {_day(ends)}; this node's clock says {_day(now)}"
    fix = Fix(patient.remedies.weftmesh("cert rotate-ca --dry-run"), patient.founder)
    if now > ends:
        yield Finding(CHECK, Severity.FAILURE, "the mesh's authority has expired", evidence, (fix,))
    elif now > ends - AUTHORITY_WARNING:
        yield Finding(CHECK, Severity.WARNING, "the mesh's authority expires soon", evidence, (fix,))


def _peers(patient: Patient, survey: Survey) -> Iterator[Finding]:
    now = utc_now()
    for peer in survey.peers:
        if peer.certificate_until is not None and peer.certificate_until < now + PEER_WARNING:
            evidence = f"in force until {_day(peer.certificate_until)}"
            summary = f"{peer.node}'s certificate expires within a day"
            fixes = (patient.remedies.token(f"--for {peer.node}", patient.founder, peer.node),)
            yield Finding(CHECK, Severity.WARNING, summary, evidence, fixes)


def _read(patient: Patient, name: str) -> x509.Certificate:
    return load_certificate((patient.identity.directory / name).read_bytes(), what=name)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"
