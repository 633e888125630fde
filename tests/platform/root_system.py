"""The system that the packages are installed on: Debian with systemd and rpm, and a Python 3.12 where EL has it.

Made once and kept under build/. It is no EL: what the packages do is tried here, not what EL's own parts do with them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

KEPT = Path(__file__).resolve().parents[2] / "build/platform/root"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "procps", "iproute2", "rpm"),
    # of the Python that is bound into it
    *("libssl3", "libffi8", "libsqlite3-0", "libreadline8", "libbz2-1.0", "liblzma5", "zlib1g"),
)
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
PYTHON_IN_ROOT = Path("/opt/python3.12")
INTERPRETERS = ("/usr/bin/python3.12", "/usr/local/bin/python3.12")


def python_prefix() -> Path | None:
    """Where a Python 3.12 is installed on this machine; PYTHON312 names another one than is found."""
    kept = sorted(Path.home().glob(".pyenv/versions/3.12.*/bin/python3.12"))
    for program in [os.environ.get("PYTHON312", ""), *map(str, kept), *INTERPRETERS]:
        if program and Path(program).exists():
            return Path(program).resolve().parents[1]
    return None


def root_system(python: Path) -> Path:
    """The directory of the system, made if it is not there; a minute or two.

    Raises:
        CalledProcessError: it cannot be made.
    """
    if KEPT.exists():
        return KEPT
    half = KEPT.with_suffix(".part")
    shutil.rmtree(half, ignore_errors=True)
    half.parent.mkdir(parents=True, exist_ok=True)
    sources = next(path for path in SOURCES if path.exists())
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")]
    settings = ['--aptopt=Acquire::Languages "none"', '--aptopt=Apt::Install-Recommends "false"', *excluded]
    options = ["--quiet", "--mode=root", "--variant=minbase", "--format=directory", *settings]
    words = ["mmdebstrap", *options, f"--include={','.join(PACKAGES)}", "bookworm", str(half), str(sources)]
    subprocess.run(words, check=True, capture_output=True)
    (half / "etc/hostname").unlink(missing_ok=True)  # each machine has its own
    _lead_to_python(half, python)
    half.rename(KEPT)
    return KEPT


def _lead_to_python(root: Path, python: Path) -> None:
    """Make the interpreter look as one of the system's: it finds its library beside /usr/bin."""
    (root / PYTHON_IN_ROOT.relative_to("/")).mkdir(parents=True)
    (root / "usr/bin/python3.12").symlink_to(PYTHON_IN_ROOT / "bin/python3.12")
    (root / "usr/lib/python3.12").symlink_to(PYTHON_IN_ROOT / "lib/python3.12")
    for library in (python / "lib").glob("libpython3.12.so.*"):
        shutil.copy(library, root / "usr/lib" / sysconfig.get_config_var("MULTIARCH"))
