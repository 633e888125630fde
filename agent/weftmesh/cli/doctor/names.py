"""Whether every host name that the mesh dials can be looked up from here."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Iterator
from typing import Final

from weftmesh.cli.doctor.check import in_thread
from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.cli.doctor.patient import Patient
from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.addresses import is_wildcard, split_address
from weftmesh.runtime.identity.founding import NodeRecord

CHECK: Final = "dns"
LOOK_UP_TIMEOUT_S: Final = 4.0
_ELSEWHERE: Final = ("192.0.2.1", 9)
"""TEST-NET-1 of RFC 5737: nothing is sent there; the kernel says by which address it would go."""


async def check_names(patient: Patient) -> list[Finding]:
    """Look up each name once, side by side."""
    survey = await patient.survey()
    hosts = {split_address(peer.address)[0]: peer.node for peer in survey.peers}
    hosts |= dict.fromkeys(_own_hosts(patient), "")
    names = {host: node for host, node in hosts.items() if not _is_address(host)}
    found = await asyncio.gather(*(_look_up(patient, host, node) for host, node in names.items()))
    if not found:
        return [
            Finding(CHECK, Severity.OK, "no name has to be looked up", "members have addresses: " + ", ".join(hosts))
        ]
    return list(found)


def _own_hosts(patient: Patient) -> Iterator[str]:
    yield split_address(patient.config.mesh.advertise)[0]
    try:
        yield split_address(NodeRecord.load(patient.data_dir).address)[0]
    except PreconditionError:
        return  # the check of credentials says that this is no node yet


async def _look_up(patient: Patient, host: str, node: str) -> Finding:
    begun_s = time.monotonic()
    try:
        async with asyncio.timeout(LOOK_UP_TIMEOUT_S):
            found = await in_thread(lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except (TimeoutError, OSError) as error:
        took_s = time.monotonic() - begun_s
        reason = (error.strerror if isinstance(error, socket.gaierror) else "") or "no answer"
        evidence = f"{reason}, after {took_s * 1e3:.0f} ms"
        whose = f", the name of {node}," if node else ", this node's own name,"
        summary = f"{host}{whose} cannot be looked up"
        return Finding(CHECK, Severity.FAILURE, summary, evidence, tuple(_fixes(patient, host, node)))
    took_s = time.monotonic() - begun_s
    addresses = ", ".join(sorted({str(one[4][0]) for one in found}))
    return Finding(CHECK, Severity.OK, f"{host} can be looked up", f"{addresses} in {took_s * 1e3:.1f} ms")


def _fixes(patient: Patient, host: str, node: str) -> Iterator[Fix]:
    if node:
        yield Fix(
            f"getent hosts {host}", node, "append the line that it prints to /etc/hosts on this node, or mend DNS"
        )
    elif address := _own_address(patient.config.mesh.listen):
        yield Fix(f"echo '{address} {host}' >> /etc/hosts", then="or mend DNS; the other members need the name too")


def _own_address(listen: str) -> str:
    """An address of this machine under which others may reach it; empty when none is known."""
    if not is_wildcard(listen):
        return split_address(listen)[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
