"""A machine with a mesh on it. Needs root, qemu and what the packages are built with; what is missing is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.platform.conftest import kept, packages, tree
from tests.platform.root_system import python_prefix
from tests.vm import mesh
from tests.vm.kernel import Kernel, kernel
from tests.vm.machine import QEMU, Machine
from tests.vm.system_image import founded_image

__all__ = ["kept", "packages", "tree"]

BUILD = Path(__file__).resolve().parents[2] / "build/vm"
PROGRAMS = (
    QEMU,
    "mmdebstrap",
    "systemd-nspawn",
    "nsenter",
    "rpmbuild",
    "busybox",
    "depmod",
    "mke2fs",
    "cpio",
    "apt-get",
)


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
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What machines see as /host."""
    directory = tmp_path_factory.mktemp("host")
    shutil.copytree(Path(__file__).with_name("guest"), directory / "guest")
    return directory


@pytest.fixture(scope="session")
def founded(python: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk of a machine on which the packages are installed and a mesh was founded and enabled; it is off.

    With VM_DISK=FILE it is kept there and taken from there, for whoever works on these tests.
    """
    named = os.environ.get("VM_DISK")
    if named and Path(named).exists():
        return Path(named)
    began_s = time.monotonic()
    image = founded_image(packages, python, tmp_path_factory.mktemp("founded"))
    print(f"\ninstalled, and a mesh of three founded, in {time.monotonic() - began_s:.0f} s")
    if named:
        shutil.move(image, named)
    return Path(named) if named else image


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
