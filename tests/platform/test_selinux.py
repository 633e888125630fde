"""The SELinux policy compiles. Against Debian's reference policy, and nobody has enforced it here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.platform]

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "packaging/selinux"
MAKEFILE = Path("/usr/share/selinux/devel/Makefile")


def test_the_policy_compiles(tmp_path: Path) -> None:
    if not MAKEFILE.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("selinux-policy-dev is not here")
    directory = shutil.copytree(SOURCES, tmp_path / "selinux")
    result = subprocess.run(
        ["make", "-C", str(directory), "-f", str(MAKEFILE), "weftmesh.pp"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "warning" not in (result.stdout + result.stderr).lower()
    assert (directory / "weftmesh.pp").stat().st_size > 0


def type_of(path: str) -> str:
    """What weftmesh.fc says of a path; the last line that fits counts."""
    found = ""
    for line in (SOURCES / "weftmesh.fc").read_text().splitlines():
        pattern, *_, context = line.split() if line and not line.startswith("#") else ("", "")
        if pattern and re.fullmatch(pattern, path):
            found = context.split(":")[2]
    return found.removesuffix(",s0)")


def settings(name: str) -> set[str]:
    """Every value of a setting in our units."""
    units = [*(ROOT / "systemd").glob("*.service"), *(ROOT / "systemd").glob("*.socket")]
    lines = [line for unit in units for line in unit.read_text().splitlines() if line.startswith(f"{name}=")]
    return {value for line in lines for value in line.partition("=")[2].split()}


def test_what_the_node_meets_of_the_processes_beside_it_has_its_type() -> None:
    directories = {f"/run/{name}" for name in settings("RuntimeDirectory")}
    sockets = {f"{directory}/metrics.sock" for directory in directories} | settings("ListenStream")
    assert {"/run/weftmesh-router/metrics.sock", "/run/weftmesh/learner.sock"} < sockets
    assert {path: type_of(path) for path in directories | sockets if type_of(path) != "weftmesh_run_t"} == {}


def test_programs_of_the_bundle_are_programs_and_the_node_has_its_own_domain() -> None:
    programs = {path for path in settings("ExecStart") if path.startswith("/usr/") and path.count("/weftmesh/bin/")}
    assert programs
    assert {type_of(path) for path in programs} == {"bin_t"}
    assert type_of("/usr/bin/weftmeshd") == "weftmesh_exec_t"
    assert type_of("/var/lib/weftmesh/audit/000001.log") == "weftmesh_var_lib_t"
