"""A machine with a mesh on it. Needs root, qemu and what the packages are built with; what is missing is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
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
    """The disk of a machine on which the packages are installed and a mesh of three is founded and enabled; it is off.

    With VM_DISKS=DIR disks are kept there and taken from there, for whoever works on these tests.
    """
    return disk_of("three", mesh.NODES, python, packages, tmp_path_factory)


@pytest.fixture(scope="session")
def founded_alone(python: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a mesh of one node."""
    return disk_of("one", mesh.ALONE, python, packages, tmp_path_factory)


def disk_of(
    name: str, nodes: Sequence[int], python: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A disk with a mesh of these nodes, which is made unless it is kept."""
    kept_in = os.environ.get("VM_DISKS")
    kept_as = Path(kept_in or tmp_path_factory.mktemp("founded")) / f"{name}.img"
    if not kept_as.exists():
        began_s = time.monotonic()
        shutil.move(founded_image(packages, python, tmp_path_factory.mktemp(name), nodes), kept_as)
        print(f"\ninstalled, and a mesh of {len(nodes)} founded, in {time.monotonic() - began_s:.0f} s")
    return kept_as


@pytest.fixture(scope="module")
def machine(
    founded_alone: Path, debian_kernel: Kernel, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """The machine with the mesh of one node, for the tests of a module."""
    with running(founded_alone, mesh.ALONE, debian_kernel, shared, tmp_path_factory.mktemp("machine")) as machine:
        yield machine


@contextmanager
def running(
    founded: Path, nodes: Sequence[int], kernel: Kernel, shared: Path, directory: Path
) -> Generator[Machine, None, None]:
    """A machine whose disk is a copy of this one, with all nodes of its mesh ready."""
    disk = directory / "disk.img"
    copy(founded, disk)
    machine = Machine(kernel, plain(disk), shared, directory)
    began_s = time.monotonic()
    try:
        print(f"\npower on: took commands after {machine.boot():.0f} s", end="")
        mesh.settle(machine, nodes)
        print(f", mesh of {len(nodes)} with a quorum after {time.monotonic() - began_s:.0f} s")
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
