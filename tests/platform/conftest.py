"""Machines with the packages on them. Needs root, and Linux with overlayfs; what is missing is said."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.platform.builds import EARLIER, build, checked_out, copied, policy_options
from tests.platform.machine import Machine
from tests.platform.meshes import machines as machines_of
from tests.platform.root_system import python_prefix, root_system

NODES = 3
PROGRAMS = ("mmdebstrap", "systemd-nspawn", "rpmbuild", "nsenter")


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
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where packages are built; with PLATFORM_RPMS=DIR they stay there, and are taken from there the next time."""
    named = os.environ.get("PLATFORM_RPMS")
    return Path(named) if named else tmp_path_factory.mktemp("rpm")


@pytest.fixture(scope="session")
def tree(kept: Path) -> Path:
    """This tree as it was when the tests began."""
    directory = kept / "tree"
    return directory if directory.exists() else copied(directory)


@pytest.fixture(scope="session")
def packages(python: Path, kept: Path, tree: Path) -> Path:
    """The directory of the packages of this tree."""
    built = kept / "present"
    return built / "RPMS" if built.exists() else build(tree, built, python, *policy_options())


@pytest.fixture(scope="session")
def earlier(python: Path, kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the packages of an earlier commit, whose release is lower."""
    built = kept / "earlier"
    if built.exists():
        return built / "RPMS"
    try:
        tree = checked_out(EARLIER, tmp_path_factory.mktemp("tree"))
    except subprocess.CalledProcessError as error:
        why = f"the commit to upgrade from is not here: {error.stderr.decode().strip()}"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    return build(tree, built, python, "--release", "0")


@pytest.fixture
def new_machine(python: Path, tmp_path: Path) -> Iterator[Machine]:
    """A machine without our packages."""
    with Machine("node1", root_system(python), tmp_path / "node1", python) as machine:
        yield machine


@pytest.fixture
def machines(python: Path, tmp_path: Path) -> Iterator[list[Machine]]:
    """Machines without our packages that reach one another."""
    with machines_of(NODES, python, tmp_path) as made:
        yield made


@pytest.fixture
def node(new_machine: Machine, packages: Path) -> Machine:
    """A machine on which a mesh of one node was founded, enabled and started."""
    return found(new_machine, packages, "weftmesh")


@pytest.fixture
def earlier_node(new_machine: Machine, earlier: Path) -> Machine:
    """The same, of the earlier packages, with a router beside it."""
    node = found(new_machine, earlier, "weftmesh", "weftmesh-router")
    node.run("systemctl", "enable", "--now", "weftmesh-router")
    node.wait_until("weftmesh-router", "ActiveState", "active")
    return node


def found(machine: Machine, packages: Path, *names: str) -> Machine:
    """Install packages, and found a mesh of one node."""
    install(machine, packages, *names)
    machine.run("weftmesh", "init", "--cluster", "plant", "--advertise", "127.0.0.1:7450")
    machine.run("systemctl", "enable", "--now", "weftmesh.target")
    machine.wait_until("weftmesh-agent", "ActiveState", "active")
    return machine


def install(machine: Machine, packages: Path, *names: str) -> None:
    """Install or upgrade packages together. Requirements are not asked: rpm knows of none of the system's own here."""
    chosen = [path for name in names for path in packages.rglob(f"{name}-[0-9]*.rpm")]
    for path in chosen:
        shutil.copy(path, machine.path / "srv")
    machine.run("rpm", "-U", "--nodeps", *(f"/srv/{path.name}" for path in chosen))
    for path in chosen:
        (machine.path / "srv" / path.name).unlink()
