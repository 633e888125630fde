"""Whether the agent answers on its local socket, and whether those who are meant to use it can."""

from __future__ import annotations

import getpass
import grp
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Final

from weftmesh.cli.doctor.check import in_thread
from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.cli.doctor.patient import Patient

CHECK: Final = "socket"
MODE: Final = 0o660
CONNECT_TIMEOUT_S: Final = 2.0
_CREDENTIALS: Final = struct.Struct("3i")
"""struct ucred of unix(7): pid, uid, gid."""


async def check_local_socket(patient: Patient) -> list[Finding]:
    """Connect, and compare owner and mode with the configuration."""
    findings = await in_thread(lambda: [*_group(patient), *_connection(patient)])
    if findings:
        return findings
    survey = await patient.survey()
    if survey.own is None:
        pid = await in_thread(lambda: _connect(patient.socket))
        evidence = f"process {pid} has {patient.socket}; {survey.own_error}"
        fixes = patient.remedies.replace_hung(pid)
        return [Finding(CHECK, Severity.FAILURE, "the agent takes calls and answers none", evidence, fixes)]
    return [
        Finding(CHECK, Severity.OK, f"{survey.own.node} answers", f"{patient.socket}, version {survey.own.version}")
    ]


def _group(patient: Patient) -> Iterator[Finding]:
    """Who may use it."""
    name, path = patient.config.mesh.group, quote(str(patient.socket))
    try:
        group = grp.getgrnam(name)
    except KeyError:
        evidence = f"[mesh] group is {name}; this machine knows no such group, and the agent does not start without"
        yield Finding(
            CHECK, Severity.FAILURE, f"there is no group {name}", evidence, (Fix(f"groupadd --system {name}"),)
        )
        return
    try:
        found = patient.socket.stat()
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(found.st_mode)
    if found.st_gid != group.gr_gid:
        evidence = f"group {found.st_gid}, not {group.gr_gid}"
        fix = Fix(f"chgrp {name} {path}")
        yield Finding(CHECK, Severity.WARNING, f"the socket does not belong to group {name}", evidence, (fix,))
    if mode != MODE:
        severity = Severity.FAILURE if mode & stat.S_IWOTH else Severity.WARNING
        who = "everybody on this machine may use the socket" if mode & stat.S_IWOTH else "the socket's mode was changed"
        yield Finding(CHECK, severity, who, f"mode {mode:04o}, not {MODE:04o}", (Fix(f"chmod {MODE:o} {path}"),))


def _connection(patient: Patient) -> Iterator[Finding]:
    start = (patient.remedies.start(),)
    try:
        _connect(patient.socket)
    except FileNotFoundError:
        yield Finding(CHECK, Severity.FAILURE, "the agent does not run", f"there is no {patient.socket}", start)
    except ConnectionRefusedError as error:
        summary = "the agent has died and left its socket behind"
        yield Finding(CHECK, Severity.FAILURE, summary, f"{patient.socket}: {error.strerror}", start)
    except PermissionError as error:
        user, group = getpass.getuser(), patient.config.mesh.group
        fix = Fix(f"usermod --append --groups {group} {user}", then=f"as root; then {user} has to log in again")
        summary = f"{user} may not use the socket"
        yield Finding(CHECK, Severity.FAILURE, summary, f"{patient.socket}: {error.strerror}", (fix,))
    except OSError as error:
        summary = "the socket does not take calls"
        evidence = f"{patient.socket}: {error.strerror or error}"
        yield Finding(CHECK, Severity.FAILURE, summary, evidence, patient.remedies.restart())


def _connect(path: Path) -> int:
    """The process at the other end, once it is connected."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_TIMEOUT_S)
        probe.connect(str(path))
        pid, _, _ = _CREDENTIALS.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return int(pid)
