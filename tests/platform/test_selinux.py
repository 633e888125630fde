"""The SELinux policy compiles. Against Debian's reference policy, and nobody has enforced it here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.platform]

SOURCES = Path(__file__).resolve().parents[2] / "packaging/selinux"
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
