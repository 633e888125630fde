"""Fetches what the lock files pin as wheels for the target, and lays them out as one site-packages."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

PLATFORMS = ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""What glibc of EL9 (2.34) and later runs."""
BUILT_HERE = frozenset({"pysyncobj"})
"""Published as source alone, and of Python alone."""
UNUSED = frozenset({".a", ".c", ".h", ".pxd", ".pyx"})
"""Nothing that runs reads these."""
_PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==", re.MULTILINE)
_BLOCK = re.compile(r"^\S(?:.*\\\n)*.*\n", re.MULTILINE)


@dataclass(frozen=True)
class License:
    """What a distribution says of its licence."""

    text: str
    is_expression: bool
    """By the names and the grammar of SPDX."""


@dataclass(frozen=True)
class Wheel:
    """One wheel, and what it says of itself."""

    path: Path
    name: str
    version: str
    license: License | None
    sha256: str

    @classmethod
    def read(cls, path: Path) -> Wheel:
        """Read the metadata of the wheel at `path`."""
        with zipfile.ZipFile(path) as archive:
            inside = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
            metadata = HeaderParser().parsestr(archive.read(inside).decode())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return cls(path, normalized(metadata["Name"]), metadata["Version"], _license(metadata), digest)

    def unpack(self, site: Path) -> set[PurePosixPath]:
        """Unpack it into a site-packages; returns the files made, relative to it; see `_place`."""
        made = set()
        with zipfile.ZipFile(self.path) as archive:
            for member in archive.infolist():
                inside = None if member.is_dir() else _place(PurePosixPath(member.filename))
                if inside is None:
                    continue
                target = site / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
                made.add(inside)
        return made


def fetch(lock: Path, directory: Path) -> list[Wheel]:
    """Every wheel that a lock file pins, by name; fetched once for each state of the file, hashes checked."""
    kept = directory / f"{lock.stem}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    if not kept.exists():
        half = kept.with_suffix(".part")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        blocks = _BLOCK.findall(lock.read_text())
        ours = [one for one in blocks if (found := _PINNED.match(one)) and found[1] in BUILT_HERE]
        theirs = [one for one in blocks if one not in ours]
        platforms = [word for name in PLATFORMS for word in ("--platform", name)]
        target = ["--implementation", "cp", "--python-version", "3.12", *platforms]
        _pip("download", theirs, half, "--only-binary=:all:", *target)
        _pip("wheel", ours, half)
        half.rename(kept)
    return sorted(map(Wheel.read, kept.glob("*.whl")), key=lambda one: one.name)


def own_wheel(root: Path, directory: Path) -> Wheel:
    """Our own, of the tree as it is."""
    shutil.rmtree(directory, ignore_errors=True)
    _run("wheel", "--no-deps", "--wheel-dir", str(directory), str(root))
    return Wheel.read(next(directory.glob("weftmesh-*.whl")))


def normalized(name: str) -> str:
    """A project's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _license(metadata: Message) -> License | None:
    """Its licence as far as it says: an expression, or the first line of free text, or what it is classified as."""
    if expression := metadata["License-Expression"]:
        return License(expression, is_expression=True)
    classified = [one.rpartition(" :: ")[2] for one in metadata.get_all("Classifier", []) if "License ::" in one]
    said = [*(metadata["License"] or "").splitlines()[:1], *classified]
    return next((License(one, is_expression=False) for one in said if one not in {"", "UNKNOWN"}), None)


def _place(inside: PurePosixPath) -> PurePosixPath | None:
    """Where a member of a wheel belongs in site-packages; None for a script and for what nothing reads."""
    if inside.suffix in UNUSED:
        return None
    if not inside.parts[0].endswith(".data"):
        return inside
    return PurePosixPath(*inside.parts[2:]) if inside.parts[1] in {"purelib", "platlib"} else None


def _pip(verb: str, blocks: list[str], directory: Path, *options: str) -> None:
    requirements = directory / "requirements.txt"
    requirements.write_text("".join(blocks))
    where = "--wheel-dir" if verb == "wheel" else "--dest"
    _run(verb, "--no-deps", "--require-hashes", "-r", str(requirements), where, str(directory), *options)
    requirements.unlink()


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True)
