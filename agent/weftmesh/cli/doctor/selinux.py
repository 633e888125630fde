"""Which mode SELinux is in, where the kernel has it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from weftmesh.cli.doctor.findings import Finding, Fix, Severity

CHECK: Final = "selinux"
SELINUXFS: Final = Path("/sys/fs/selinux")
ENFORCING: Final = "1"


def check_selinux(mounted: Path = SELINUXFS) -> list[Finding]:
    """Read the mode from selinuxfs.

    Args:
        mounted: where selinuxfs is.
    """
    mode = mounted / "enforce"
    if not mode.exists():
        return [Finding(CHECK, Severity.SKIPPED, "SELinux is not on here", f"there is no {mode}")]
    found = mode.read_text().strip()
    if found == ENFORCING:
        return [Finding(CHECK, Severity.OK, "enforcing", f"{mode} says {found}")]
    fix = Fix("setenforce 1", then="and SELINUX=enforcing in /etc/selinux/config, to keep it after a boot")
    return [Finding(CHECK, Severity.WARNING, "permissive: nothing is refused", f"{mode} says {found}", (fix,))]
