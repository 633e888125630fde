"""Machines with the packages on them. Needs root, and Linux with overlayfs; what is missing is said."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.platform.machine import Machine
from tests.platform.root_system import python_prefix, root_system

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "packaging/rpm/build.py"
PROGRAMS = ("mmdebstrap", "systemd-nspawn", "rpmbuild", "nsenter")
BUILD_TIMEOUT_S = 900.0


@pytest.fixture(scope="session")
def python() -> Path:
    """A Python 3.12, and everything else that this takes."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    prefix = python_prefix()
    if prefix is None:
        missing.append("python3.12")
    if os.geteuid() != 0:
        missing.append("root")
    if missing:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"missing here: {', '.join(missing)}")
    assert prefix is not None
    return prefix


@pytest.fixture(scope="session")
def packages(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Builds one release of the packages, once a session; returns the directory of the RPMs.

    With PLATFORM_RPMS=DIR they are kept in DIR/RELEASE and taken from there, for whoever works on these tests.
    """
    built: dict[int, Path] = {}
    kept = os.environ.get("PLATFORM_RPMS")
    parent = Path(kept) if kept else tmp_path_factory.mktemp("rpm")

    def build(release: int) -> Path:
        if release not in built:
            directory = parent / str(release)
            words = [str(python / "bin/python3.12"), str(BUILD), "--to", str(directory), "--release", str(release)]
            if not (directory / "RPMS").exists():
                subprocess.run(words, check=True, timeout=BUILD_TIMEOUT_S)
            built[release] = directory / "RPMS/x86_64"
        return built[release]

    return build


@pytest.fixture
def new_machine(python: Path, tmp_path: Path) -> Iterator[Machine]:
    """A machine without our packages."""
    with Machine("node1", root_system(python), tmp_path / "node1", python) as machine:
        yield machine


@pytest.fixture
def node(new_machine: Machine, packages: Callable[[int], Path]) -> Machine:
    """A machine on which a mesh of one node was founded, enabled and started."""
    install(new_machine, packages(1), "weftmesh")
    new_machine.run("weftmesh", "init", "--cluster", "plant", "--advertise", "127.0.0.1:7450")
    new_machine.run("systemctl", "enable", "--now", "weftmesh.target")
    new_machine.wait_until("weftmesh-agent", "ActiveState", "active")
    return new_machine


def install(machine: Machine, packages: Path, *names: str) -> None:
    """Install or upgrade packages; rpm of this system knows of none of its own, so requirements are not asked."""
    for path in [one for name in names for one in packages.glob(f"{name}-[0-9]*.rpm")]:
        inside = machine.path / "srv" / path.name
        shutil.copy(path, inside)
        machine.run("rpm", "-U", "--nodeps", f"/srv/{path.name}")
        inside.unlink()
