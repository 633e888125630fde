"""Whether this node has an identity, whether its parts fit, and whether its secrets are its own."""

from __future__ import annotations

import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Final

from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.cli.doctor.patient import Patient
from weftmesh.cli.doctor.remedies import FOUNDER
from weftmesh.core.errors import DataCorruptionError, PreconditionError
from weftmesh.runtime.files import PRIVATE_DIRECTORY_MODE, PRIVATE_FILE_MODE
from weftmesh.runtime.identity.founding import NodeRecord

CHECK: Final = "credentials"
SECRETS: Final = ("node.key", "ca.key", "ca-next.key", "tokens.json")
SERVICE_USER: Final = "weftmesh"
NO_STATE: Final = frozenset({"identity", "lost+found"})
"""In the state directory: looked at file by file, and of the file system."""
_OTHERS: Final = 0o077


def check_credentials(patient: Patient) -> list[Finding]:
    """Look at the files of the identity."""
    try:
        record = NodeRecord.load(patient.data_dir)
    except PreconditionError as error:
        return [Finding(CHECK, Severity.FAILURE, "not a node yet", str(error), (patient.remedies.found(),))]
    findings = [*_exposed(patient.data_dir, patient.identity.directory), *_foreign(patient)]
    if not findings:
        findings += _unfit(patient, record.node)
    shown = f"{record.node} of {record.cluster}, {patient.identity.directory}"
    return findings or [Finding(CHECK, Severity.OK, "whole, and nobody else's", shown)]


def _exposed(data_dir: Path, identity: Path) -> Iterator[Finding]:
    """Others may read what they must not."""
    directories = [(path, PRIVATE_DIRECTORY_MODE, Severity.WARNING) for path in (data_dir, identity)]
    secrets = [(identity / name, PRIVATE_FILE_MODE, Severity.FAILURE) for name in SECRETS]
    for path, wanted, severity in (*directories, *secrets):
        if path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & _OTHERS:
            then = "consider the key in it known to whoever could read it" if path.suffix == ".key" else ""
            fix = Fix(f"chmod {wanted:o} {quote(str(path))}", then=then)
            yield Finding(CHECK, severity, f"{path} may be read by others", f"mode {mode:04o}", (fix,))


def _foreign(patient: Patient) -> Iterator[Finding]:
    """Files that the daemon could not use, since they belong to somebody else."""
    data_dir = patient.data_dir
    owner = data_dir.stat().st_uid
    if patient.remedies.has_unit and (user := _uid(SERVICE_USER)) is not None and owner != user:
        summary, fix = f"{data_dir} does not belong to {SERVICE_USER}", f"{SERVICE_USER}:{SERVICE_USER}"
        command = Fix(f"chown --recursive {fix} {quote(str(data_dir))}")
        yield Finding(CHECK, Severity.FAILURE, summary, f"owner {_user(owner)}", (command,))
        return
    yield from _left_by_another(data_dir, owner)
    for path in sorted(patient.identity.directory.iterdir()):
        if (found := path.stat().st_uid) != owner:
            command = Fix(f"chown --reference={quote(str(data_dir))} {quote(str(path))}")
            evidence = f"owner {_user(found)}; {data_dir} belongs to {_user(owner)}"
            yield Finding(CHECK, Severity.FAILURE, f"{path} belongs to somebody else", evidence, (command,))


def _left_by_another(data_dir: Path, owner: int) -> Iterator[Finding]:
    """State that a daemon wrote which somebody else started, as root does by hand."""
    seen = [path for path in (*data_dir.glob("*"), *data_dir.glob("*/*")) if NO_STATE.isdisjoint(path.parts)]
    others = sorted(path for path in seen if path.lstat().st_uid != owner)
    if others:
        first, place = others[0], quote(str(data_dir))
        summary = f"the node was run by somebody else: it may not use {first}"
        evidence = f"{len(others)} belong to others, {first.name} to {_user(first.lstat().st_uid)}"
        command = Fix(f"chown --recursive --reference={place} {place}")
        yield Finding(CHECK, Severity.FAILURE, summary, evidence, (command,))


def _unfit(patient: Patient, node: str) -> Iterator[Finding]:
    """Parts that are missing or do not belong together: the node can only come back as a new one."""
    try:
        patient.identity.load()
    except (DataCorruptionError, PreconditionError) as error:
        # Whoever has the authority as well must not lose it: its identity is for a person to restore.
        fixes = () if patient.identity.has_authority else tuple(_as_a_new_one(patient, node))
        yield Finding(CHECK, Severity.FAILURE, "the identity is not whole", str(error), fixes)


def _as_a_new_one(patient: Patient, node: str) -> Iterator[Fix]:
    """How the node leaves its mesh without its identity, and joins it under the same name."""
    data_dir = quote(str(patient.data_dir))
    yield Fix(f"weftmesh members rm {node}", "another member", "only where no copy of the identity is at hand")
    yield Fix(f"mv {data_dir} {data_dir}.damaged")
    yield patient.remedies.token("", FOUNDER, "this node")
    yield patient.remedies.start()


def _uid(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
