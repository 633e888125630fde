"""Whether every other member can be reached over mutual TLS, and how long each step takes."""

from __future__ import annotations

from typing import Final

from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.cli.doctor.patient import Patient
from weftmesh.cli.doctor.probe import Answer
from weftmesh.cli.doctor.survey import Survey
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.addresses import split_address

CHECK: Final = "peers"
EXPIRED: Final = "expired"


async def check_peers(patient: Patient) -> list[Finding]:
    """One finding for each member."""
    survey = await patient.survey()
    if survey.not_asked:
        return [Finding(CHECK, Severity.SKIPPED, "no member was called", survey.not_asked)]
    if not survey.peers:
        return [Finding(CHECK, Severity.OK, "this node is the only member", f"members of {survey.node}'s mesh: 1")]
    return [_judged(patient, survey, peer) for peer in survey.peers]


def _judged(patient: Patient, survey: Survey, peer: Answer) -> Finding:
    if peer.status is not None:
        return Finding(CHECK, Severity.OK, f"{peer.node} answers", f"{peer.address}: {peer.times}")
    member = survey.members.get(peer.node)
    observer = member is not None and member.role == mesh_pb2.MEMBER_ROLE_OBSERVER
    evidence = f"{peer.address}: {peer.failed_step}: {peer.error}" + (f"; {peer.times}" if peer.times else "")
    severity = Severity.WARNING if observer else Severity.FAILURE
    return Finding(CHECK, severity, f"{peer.node} does not answer", evidence, _fixes(patient, peer))


def _fixes(patient: Patient, peer: Answer) -> tuple[Fix, ...]:
    match peer.failed_step:
        case "name":
            return ()  # the check of names has them
        case "answer":
            return patient.remedies.restart(peer.node)
        case "tls" if EXPIRED in peer.error:
            return (patient.remedies.token(f"--for {peer.node}", patient.founder, peer.node),)
        case "connect" if not peer.refused and patient.remedies.has("firewall-cmd"):
            port = split_address(peer.address)[1]
            opened = f"firewall-cmd --permanent --add-port={port}/tcp && firewall-cmd --reload"
            return (
                patient.remedies.start(peer.node),
                Fix(opened, peer.node, "if it runs and its firewall drops calls"),
            )
        case _:
            return (patient.remedies.start(peer.node),)
