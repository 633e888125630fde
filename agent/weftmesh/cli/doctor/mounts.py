"""Which file system a path is on, by /proc/self/mountinfo, and what gives it more room."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from weftmesh.cli.doctor.findings import Fix

MOUNTINFO: Final = Path("/proc/self/mountinfo")
MORE_BYTES: Final = 1 << 30
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system."""

    point: Path
    kind: str
    """Such as xfs."""
    source: str
    """Such as a device."""


def mount_of(path: Path) -> Mount:
    """The file system that `path` is on."""
    real = path.resolve()
    mounts = map(_parsed, MOUNTINFO.read_text().splitlines())
    # Of those on one point the last one hides the others.
    _, found = max(enumerate(mounts), key=lambda one: (_covers(one[1].point, real), one[0]))
    return found


def more_room(mount: Mount, total_bytes: int, has: Callable[[str], bool]) -> Fix:
    """How to enlarge it; where it cannot be, what shows who fills it."""
    point = quote(str(mount.point))
    if mount.kind == "tmpfs":
        wanted = -(-(total_bytes + MORE_BYTES) // _MIB)
        return Fix(f"mount -o remount,size={wanted}M {point}", then="a tmpfs is memory: a restart empties it")
    if mount.source.startswith("/dev/mapper/") and has("lvextend"):
        return Fix(f"lvextend --resizefs --size +{MORE_BYTES // _MIB}M {quote(mount.source)}")
    largest = f"du --one-file-system --max-depth=3 --human-readable {point} | sort --human-numeric-sort | tail"
    return Fix(largest, then="remove or move away what is not needed of the largest that it prints")


def _parsed(line: str) -> Mount:
    """See proc_pid_mountinfo(5)."""
    own, _, file_system = line.partition(" - ")
    kind, source, *_ = file_system.split(" ")
    return Mount(Path(_unescaped(own.split(" ")[4])), kind, _unescaped(source))


def _covers(point: Path, path: Path) -> int:
    """How many parts of a path a mount point has; -1 where the path is not below it."""
    return len(point.parts) if os.path.commonpath((point, path)) == str(point) else -1


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
