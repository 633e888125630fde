"""Which process listens on a TCP port of this machine, by /proc; another user's is told to root alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
AGENT_NAMES: Final = ("weftmesh.agent", "weftmeshd")
_LISTENING: Final = "0A"
_SERVICE: Final = re.compile(r"/system\.slice/([^/\n]+\.service)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Holder:
    """A process."""

    pid: int
    command: str
    """Its command line."""
    unit: str
    """The systemd service it belongs to; empty for none."""

    @property
    def is_agent(self) -> bool:
        """Whether it is an agent of a mesh."""
        return any(name in self.command for name in AGENT_NAMES)


def holder_of(port: int) -> Holder | None:
    """The process that listens on a port; None where it cannot be told."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for directory in PROC.iterdir():
        if directory.name.isdigit() and sockets & set(_open_files(directory)):
            return _described(directory)
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        path = PROC / "net" / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _open_files(directory: Path) -> Iterator[str]:
    try:
        for descriptor in (directory / "fd").iterdir():
            yield os.readlink(descriptor)
    except OSError:
        return  # it has ended, or is somebody else's


def _described(directory: Path) -> Holder | None:
    try:
        command = (directory / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
        unit = _SERVICE.search((directory / "cgroup").read_text())
    except OSError:
        return None
    return Holder(int(directory.name), command, unit[1] if unit else "")
