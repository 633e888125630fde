"""The disk of the machine: the root system of the containers, with its Python, as a file system of its own."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.platform.root_system import PYTHON_IN_ROOT, root_system

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


def system_image(directory: Path, python: Path) -> Path:
    """The image, made if it is not there; a minute.

    Raises:
        CalledProcessError: it cannot be made.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    image = directory / f"system-{digest}.img"
    if image.exists():
        return image
    root = root_system(python)
    directory.mkdir(parents=True, exist_ok=True)
    half = image.with_suffix(".part")
    half.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        changes, work, merged = (Path(temporary) / name for name in ("changes", "work", "merged"))
        for path in (changes, work, merged):
            path.mkdir()
        layers = f"lowerdir={root},upperdir={changes},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, merged], check=True)
        try:
            _furnish(merged, python)
            settings = ["-E", "lazy_itable_init=0,lazy_journal_init=0", "-d", str(merged)]
            subprocess.run(["mke2fs", "-q", "-t", "ext4", *settings, str(half), SIZE], check=True)
        finally:
            subprocess.run(["umount", merged], check=True)
    half.rename(image)
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
