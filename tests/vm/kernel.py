"""The kernel of the machine: Debian's full one, and a first file system that finds the disk. Made once and kept."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

METAPACKAGE = "linux-image-amd64"
MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "ext4", "crc32c_generic"),
    *("9p", "9pnet_virtio"),
)
INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in $(/bin/busybox cat /modules/order); do /bin/busybox insmod "/modules/$module"; done
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /root || exit
/bin/busybox umount /dev
exec /bin/busybox switch_root /root /sbin/init
"""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a machine is started with: the kernel, and the file system it begins with."""

    image: Path
    initramfs: Path


def kernel(directory: Path) -> Kernel:
    """Fetch and unpack it, if that was not done before; half a minute.

    Raises:
        CalledProcessError: it cannot be fetched or unpacked.
    """
    kept = directory / "kernel"
    if not kept.exists():
        half = kept.with_suffix(".part")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        _fetch(half)
        half.rename(kept)
    return Kernel(kept / "vmlinuz", kept / "initramfs")


def _fetch(directory: Path) -> None:
    depends = subprocess.run(["apt-cache", "depends", METAPACKAGE], check=True, capture_output=True, text=True).stdout
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    assert found, depends
    subprocess.run(["apt-get", "download", "-qq", found[1]], check=True, cwd=directory, capture_output=True)
    archive = next(directory.glob("*.deb"))
    unpacked = directory / "unpacked"
    subprocess.run(["dpkg-deb", "-x", archive, unpacked], check=True)
    shutil.copy(next(unpacked.glob("boot/vmlinuz-*")), directory / "vmlinuz")
    _make_initramfs(unpacked, directory / "initramfs")
    shutil.rmtree(unpacked)
    archive.unlink()


def _make_initramfs(unpacked: Path, made: Path) -> None:
    modules = next(unpacked.glob("lib/modules/*"))
    subprocess.run(["depmod", "-b", unpacked, modules.name], check=True)
    tree = made.with_name("tree")
    for name in ("bin", "dev", "root", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), tree / "bin/busybox")
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    order = list(_in_order((modules / "modules.dep").read_text()))
    for path in order:
        shutil.copy(modules / path, tree / "modules")
    (tree / "modules/order").write_text("".join(f"{Path(path).name}\n" for path in order))
    names = "".join(f"{path.relative_to(tree)}\n" for path in [tree, *sorted(tree.rglob("*"))])
    with made.open("wb") as archive:
        words = ["cpio", "--create", "--format=newc", "--owner=0:0", "--quiet"]
        subprocess.run(words, check=True, cwd=tree, input=names.encode(), stdout=archive)
    shutil.rmtree(tree)


def _in_order(dependencies: str) -> Iterator[str]:
    """Paths of the modules, each after what it needs."""
    needs = {path: rest.split() for path, _, rest in (line.partition(":") for line in dependencies.splitlines())}
    paths = {Path(path).name.partition(".ko")[0].replace("-", "_"): path for path in needs}
    done: set[str] = set()

    def add(path: str) -> Iterator[str]:
        if path not in done:
            done.add(path)
            for other in needs[path]:
                yield from add(other)
            yield path

    for name in MODULES:
        yield from add(paths[name])
