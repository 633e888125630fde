"""The disk of the machine: a container with a mesh that was founded in it, as a file system of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.platform.conftest import install
from tests.platform.machine import Machine as Container
from tests.platform.root_system import PYTHON_IN_ROOT, root_system
from tests.vm import mesh

ON_IT = ("weftmesh", "weftmesh-router")

SIZE = "3G"
UNIT = """
[Unit]
Description=Runs what the host sends
RequiresMountsFor=/host
DefaultDependencies=no
After=systemd-user-sessions.service
Before=shutdown.target
Conflicts=shutdown.target

[Service]
ExecStart=/usr/bin/python3.12 -I /host/guest/commands.py
OOMScoreAdjust=-1000
SuccessExitStatus=SIGTERM

[Install]
WantedBy=multi-user.target
"""
FILES = {
    "etc/fstab": "host /host 9p trans=virtio,version=9p2000.L,ro,msize=262144 0 0\n",
    "etc/hostname": "node1\n",
    "etc/hosts": "127.0.0.1 localhost node1\n",
    "etc/systemd/system/host-commands.service": UNIT,
}
LINKS = {
    "etc/systemd/system/multi-user.target.wants/host-commands.service": "../host-commands.service",
    **{
        f"etc/systemd/system/{name}": "/dev/null"
        for name in ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer")
    },
}
SUPERFLUOUS = ("test", "idlelib", "tkinter", "turtledemo", "ensurepip", "config-*", "site-packages")


def founded_image(packages: Path, python: Path, directory: Path, nodes: Sequence[int]) -> Path:
    """Install the packages, found a mesh and enable it, in a container; its disk, as an image for a machine.

    In a container, since that takes a minute, and an emulated processor ten times as long.

    Args:
        packages: where they are.
        python: the prefix of a Python 3.12.
        directory: of this image alone.
        nodes: of the mesh.
    """
    image = directory / "disk.img"
    with Container("node1", root_system(python), directory / "container", python) as container:
        install(container, packages, *ON_IT)
        mesh.found(container, nodes)
        container.halt()
        _furnish(container.path, python)
        settings = ["-E", "lazy_itable_init=0,lazy_journal_init=0", "-d", str(container.path)]
        subprocess.run(["mke2fs", "-q", "-t", "ext4", *settings, str(image), SIZE], check=True)
    return image


def _furnish(root: Path, python: Path) -> None:
    ignored = shutil.ignore_patterns(*SUPERFLUOUS)
    inside = root / PYTHON_IN_ROOT.relative_to("/")
    shutil.copytree(python, inside, symlinks=True, ignore=ignored, dirs_exist_ok=True)
    (root / "host").mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text)
    for name, target in LINKS.items():
        link = root / name
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
