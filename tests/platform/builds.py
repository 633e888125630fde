"""Builds of the packages: of this tree, and of an earlier commit that machines are upgraded from."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EARLIER = "457716553b7d73b53466a290d6c12e8690a6596d"
"""The last commit before nodes told one another what they understand: feature level 1."""
POLICY = Path("/usr/share/selinux/devel/Makefile")
"""What the SELinux policy is compiled against."""
TIMEOUT_S = 900.0


def build(tree: Path, to: Path, python: Path, *options: str) -> Path:
    """Build the packages of a tree; returns the directory of the RPMs.

    Raises:
        CalledProcessError: they cannot be built.
    """
    # Wheels are shared: a lock file that is the same asks for none again.
    words = [str(tree / "packaging/rpm/build.py"), "--to", str(to), "--wheels", str(ROOT / "build/wheels"), *options]
    subprocess.run([str(python / "bin/python3.12"), *words], check=True, timeout=TIMEOUT_S)
    return to / "RPMS"


def policy_options() -> tuple[str, ...]:
    """With the SELinux policy where it can be compiled."""
    return ("--selinux",) if POLICY.exists() else ()


def copied(directory: Path) -> Path:
    """This tree as it is now, without what git ignores: what is edited later is in no build of it."""
    words = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines():
        if (ROOT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, directory / name)
    return directory


def checked_out(commit: str, directory: Path) -> Path:
    """The tree of a commit, put into a directory.

    Raises:
        CalledProcessError: the commit is not in this repository, as in a shallow clone.
    """
    words = ["git", "-C", str(ROOT), "archive", commit]
    archive = subprocess.run(words, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")
    return directory
