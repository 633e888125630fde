"""Whether the listen addresses are free for the agent to take, or held by it and answering."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Final

from weftmesh.cli.doctor.check import in_thread
from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.cli.doctor.patient import Patient
from weftmesh.cli.doctor.port_holder import holder_of
from weftmesh.cli.doctor.probe import Answer, ask
from weftmesh.cli.doctor.remedies import edit_line
from weftmesh.cli.doctor.survey import Survey
from weftmesh.runtime.addresses import join_address, local_address, split_address
from weftmesh.runtime.identity.founding import NodeRecord

CHECK: Final = "ports"
WILDCARD: Final = "0.0.0.0"  # noqa: S104, named to be compared and proposed


async def check_ports(patient: Patient) -> list[Finding]:
    """Bind each address where the agent does not run; where it does, make sure that it is the one that answers."""
    mesh = patient.config.mesh
    survey = await patient.survey()
    if survey.own is None:
        ports = [("mesh port", "listen", mesh.listen)]
        if patient.identity.has_authority:
            ports.append(("enrolment port", "enroll_listen", mesh.enroll_listen))
        findings = await in_thread(lambda: [one for port in ports for one in _taken(patient, *port)])
        shown = ", ".join(f"{what} {address}" for what, _, address in ports)
        return findings or [Finding(CHECK, Severity.OK, "free for the agent to listen on", shown)]
    if survey.not_asked:
        return [Finding(CHECK, Severity.SKIPPED, "the mesh port was not called", survey.not_asked)]
    record = NodeRecord.load(patient.data_dir)
    here = await ask(patient.identity.directory, record.cluster, record.node, local_address(mesh.listen))
    if here.status is None:
        return [_silent(patient, here)]
    if cut_off := unreached_from(patient, survey):
        return cut_off
    return [Finding(CHECK, Severity.OK, f"{record.node} answers on its mesh port", f"{here.address}: {here.times}")]


def _taken(patient: Patient, what: str, key: str, address: str) -> Iterator[Finding]:
    """Why the agent could not listen on an address."""
    host, port = split_address(address)
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen()  # an address in use may be bound again, and not listened on
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            yield _held(patient, what, address)
        else:
            absent = error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror)
            fixes = tuple(_anywhere(patient, key, address)) if absent else ()
            summary = f"the agent cannot listen on its {what}"
            yield Finding(CHECK, Severity.FAILURE, summary, f"{address}: {error.strerror}", fixes)


def _held(patient: Patient, what: str, address: str) -> Finding:
    """Who listens there, as far as this user may see."""
    holder = holder_of(split_address(address)[1])
    if holder is None:
        evidence = f"{address} is in use; only root sees by which process"
        return Finding(CHECK, Severity.UNKNOWN, f"somebody listens on the {what}", evidence)
    evidence = f"{address}: process {holder.pid} listens there: {holder.command}"
    if holder.is_agent:  # what is wrong with it is for the check of the local socket to say
        return Finding(CHECK, Severity.SKIPPED, f"an agent has the {what}, and does not answer here", evidence)
    stop = f"systemctl stop {holder.unit}" if holder.unit and patient.remedies.has_unit else f"kill {holder.pid}"
    fix = Fix(stop, then=f"or give weftmesh another {what} in {patient.remedies.config_file}")
    return Finding(CHECK, Severity.FAILURE, f"another process has the {what}", evidence, (fix,))


def _anywhere(patient: Patient, key: str, address: str) -> Iterator[Fix]:
    """Listen on every address instead of one that this machine does not have or know."""
    if place := patient.place("mesh", key):
        yield edit_line(*place, address, join_address(WILDCARD, split_address(address)[1]))


def unreached_from(patient: Patient, survey: Survey) -> list[Finding]:
    """One finding for each member that answers here and has no stream to this node: calls get through one way only."""
    findings = []
    for peer in survey.answered:
        found = [one for one in (peer.status.members if peer.status else ()) if one.name == survey.node]
        if found and not found[0].connected:
            port = split_address(found[0].address)[1]
            opened = Fix(f"firewall-cmd --permanent --add-port={port}/tcp && firewall-cmd --reload")
            fixes = (opened,) if patient.remedies.has("firewall-cmd") else ()
            evidence = f"{peer.node} dials {found[0].address}, and has no stream"
            findings.append(Finding(CHECK, Severity.WARNING, f"{peer.node} does not reach this node", evidence, fixes))
    return findings


def _silent(patient: Patient, here: Answer) -> Finding:
    evidence = f"{here.address}: {here.failed_step}: {here.error}"
    summary = "the agent runs, and its mesh port does not answer"
    return Finding(CHECK, Severity.FAILURE, summary, evidence, patient.remedies.restart())
