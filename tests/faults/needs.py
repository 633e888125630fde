"""What a fault needs of this machine; each need says why it is not met, or nothing."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable

INSTALL = "tests/peers/install.sh installs it"


def root() -> str:
    """Namespaces and mounts are root's."""
    return "" if os.geteuid() == 0 else "needs root"


def program(name: str) -> Callable[[], str]:
    """A program on the path."""
    return lambda: "" if shutil.which(name) else f"there is no {name}; {INSTALL}"


@functools.cache
def small_disk() -> str:
    """Root, and a kernel that lets it mount a tmpfs in a mount namespace of its own; containers may not."""
    if reason := root():
        return reason
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=64k", "weftmesh", "/mnt"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"no tmpfs can be mounted: {done.stderr.strip()}" if done.returncode else ""


@functools.cache
def namespaces() -> str:
    """Root, and a kernel that makes network namespaces."""
    if reason := root():
        return reason
    done = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    return f"no network namespace can be made: {done.stderr.strip()}" if done.returncode else ""


def sync_breaker() -> str:
    """A compiler for the library that fails fdatasync, or strace, which does it from outside."""
    if shutil.which("cc") or shutil.which("strace"):
        return ""
    return f"there is neither cc nor strace; {INSTALL}"
