"""Whether systemd lets the node use its state directory: the unit makes one place writable and follows no link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import Final

from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.cli.doctor.remedies import Remedies
from weftmesh.cli.session import DEFAULT_CONFIG
from weftmesh.runtime.units import AGENT_UNIT, STATE_DIRECTORY, UNIT_DIRECTORIES

CHECK: Final = "disk"
DROP_IN: Final = Path(f"/etc/systemd/system/{AGENT_UNIT}.d/state.conf")
_WRITABLE: Final = "ReadWritePaths="


def judge_bounds(
    remedies: Remedies, data_dir: Path, *, state: Path = STATE_DIRECTORY, units: Sequence[Path] = UNIT_DIRECTORIES
) -> Iterator[Finding]:
    """What keeps the unit from a state directory that anybody else may use.

    Args:
        remedies: of this machine.
        data_dir: where the node keeps its state.
        state: what the unit makes writable.
        units: where units and their drop-ins are.
    """
    if not remedies.has_unit or remedies.config_file != DEFAULT_CONFIG:
        return  # the unit runs the node of the default configuration alone
    if state.is_symlink():
        evidence = f"{state} -> {state.readlink()}; the unit ends with 238/STATE_DIRECTORY"
        yield Finding(CHECK, Severity.FAILURE, f"systemd follows no link at {state}", evidence, (_bound(state),))
    elif not data_dir.resolve().is_relative_to(state) and not _is_writable(data_dir, units):
        lines = f"[Service]\\nReadWritePaths={data_dir}\\n"
        command = f"printf '{lines}' | install -D --mode=0644 /dev/stdin {DROP_IN} && systemctl daemon-reload"
        evidence = f"{AGENT_UNIT} may write {state}, and no drop-in names {data_dir}"
        yield Finding(
            CHECK, Severity.FAILURE, f"the unit may not write {data_dir}", evidence, (Fix(command), *remedies.restart())
        )


def _bound(state: Path) -> Fix:
    """Mount what the link leads to in its place."""
    target, place = quote(str(state.resolve())), quote(str(state))
    command = f"rm {place} && mkdir --mode=0700 {place} && mount --bind {target} {place}"
    return Fix(command, then=f"and a line in /etc/fstab: {target} {place} none bind 0 0")


def _is_writable(data_dir: Path, units: Sequence[Path]) -> bool:
    """Whether a drop-in makes the directory, or one above it, writable."""
    for directory in units:
        for path in directory.glob(f"{AGENT_UNIT}.d/*.conf"):
            lines = (line.strip() for line in path.read_text(errors="replace").splitlines())
            named = [one for line in lines if line.startswith(_WRITABLE) for one in line[len(_WRITABLE) :].split()]
            if any(data_dir.is_relative_to(one.lstrip("-+")) for one in named):
                return True
    return False
