"""The system that the packages are installed on: Debian with systemd and rpm, and a Python 3.12 where EL has it.

Made once and kept under build/. It is no EL: what the packages do is tried here, not what EL's own parts do with them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

PLACE = Path(__file__).resolve().parents[2] / "build/platform"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "procps", "iproute2", "rpm"),
    # what completes commands and shows manuals
    *("bash-completion", "zsh", "fish", "man-db"),
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
    """The directory of the system, made if none with these packages is there; a minute or two.

    Raises:
        RuntimeError: it cannot be made.
    """
    PLACE.mkdir(parents=True, exist_ok=True)
    kept = PLACE / f"root-{hashlib.sha256(' '.join(PACKAGES).encode()).hexdigest()[:12]}"
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of tests make it once
        if not kept.exists():
            half = kept.with_suffix(".part")
            shutil.rmtree(half, ignore_errors=True)
            _make(half, python)
            half.rename(kept)
    return kept


def _make(root: Path, python: Path) -> None:
    sources = next(path for path in SOURCES if path.exists())
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")]
    apt = ('Acquire::Languages "none"', 'Acquire::Retries "5"', 'Apt::Install-Recommends "false"')
    settings = [*(f"--aptopt={one}" for one in apt), *excluded]
    options = ["--quiet", "--mode=root", "--variant=minbase", "--format=directory", *settings]
    words = ["mmdebstrap", *options, f"--include={','.join(PACKAGES)}", "bookworm", str(root), str(sources)]
    made = subprocess.run(words, check=False, capture_output=True, text=True)
    if made.returncode != 0:
        raise RuntimeError(f"mmdebstrap: {made.returncode}\n{made.stderr[-2_000:]}")
    (root / "etc/hostname").unlink(missing_ok=True)  # each machine has its own
    _lead_to_python(root, python)


def _lead_to_python(root: Path, python: Path) -> None:
    """Make the interpreter look as one of the system's: it finds its library beside /usr/bin."""
    (root / PYTHON_IN_ROOT.relative_to("/")).mkdir(parents=True)
    (root / "usr/bin/python3.12").symlink_to(PYTHON_IN_ROOT / "bin/python3.12")
    (root / "usr/lib/python3.12").symlink_to(PYTHON_IN_ROOT / "lib/python3.12")
    for library in (python / "lib").glob("libpython3.12.so.*"):
        shutil.copy(library, root / "usr/lib" / sysconfig.get_config_var("MULTIARCH"))
