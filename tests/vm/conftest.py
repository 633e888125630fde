"""A machine with a mesh on it. Needs root, qemu and what the packages are built with; what is missing is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from tests.platform.conftest import kept, packages, tree
from tests.platform.root_system import python_prefix
from tests.vm import mesh
from tests.vm.kernel import Kernel, kernel
from tests.vm.machine import QEMU, Machine
from tests.vm.system_image import system_image

__all__ = ["kept", "packages", "tree"]

BUILD = Path(__file__).resolve().parents[2] / "build/vm"
PROGRAMS = (QEMU, "mmdebstrap", "rpmbuild", "busybox", "depmod", "mke2fs", "cpio", "apt-get")
ON_IT = ("weftmesh", "weftmesh-router")


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
def debian_kernel(python: Path) -> Kernel:
    """What machines are started with."""
    return kernel(BUILD)


@pytest.fixture(scope="session")
def shared(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What machines see as /host: programs, and the packages."""
    directory = tmp_path_factory.mktemp("host")
    shutil.copytree(Path(__file__).with_name("guest"), directory / "guest")
    (directory / "packages").mkdir()
    for path in [one for name in ON_IT for one in packages.rglob(f"{name}-[0-9]*.rpm")]:
        shutil.copy(path, directory / "packages")
    return directory


@pytest.fixture(scope="session")
def founded(python: Path, debian_kernel: Kernel, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk of a machine on which the packages were installed and a mesh was founded and enabled; it is off.

    With VM_DISK=DIR it is kept in DIR and taken from there, for whoever works on these tests.
    """
    named = os.environ.get("VM_DISK")
    directory = Path(named) if named else tmp_path_factory.mktemp("founded")
    disk = directory / "disk.img"
    if disk.exists():
        return disk
    half = directory / "half.img"
    copy(system_image(BUILD, python), half)
    machine = Machine(debian_kernel, plain(half), shared, directory)
    try:
        install_and_found(machine)
        machine.power_off()
    finally:
        machine.kill()
    return half.rename(disk)


def install_and_found(machine: Machine) -> None:
    """From a system without our packages to a mesh that is enabled."""
    moments_s = [time.monotonic()]
    machine.boot()
    moments_s.append(time.monotonic())
    mesh.install(machine)
    moments_s.append(time.monotonic())
    mesh.found(machine)
    mesh.weftmesh(machine, 1, "project", "add", "LOAD", "--title", "load")
    machine.run("systemctl", "enable", "--now", "weftmesh-router.service")
    moments_s.append(time.monotonic())
    took_s = [f"{later - earlier:.0f} s" for earlier, later in pairwise(moments_s)]
    print("\nbooted in {}, installed in {}, a mesh of three founded and enabled in {}".format(*took_s))


@pytest.fixture(scope="module")
def machine(
    founded: Path, debian_kernel: Kernel, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """The machine with the mesh, for the tests of a module."""
    directory = tmp_path_factory.mktemp("machine")
    disk = directory / "disk.img"
    copy(founded, disk)
    machine = Machine(debian_kernel, plain(disk), shared, directory)
    try:
        machine.boot()
        mesh.settle(machine)
        yield machine
        machine.power_off()
    finally:
        machine.kill()


def copy(image: Path, to: Path) -> None:
    """Copy a disk."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", image, to], check=True)


def plain(image: Path) -> str:
    """How qemu is told of a disk that is a file."""
    return f"driver=raw,file.driver=file,file.filename={image}"
