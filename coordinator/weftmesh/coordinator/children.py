"""The child process that rounds run in: started with a pipe as its standard input, which ends it when it closes."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Final, Protocol

CHILD_MODULE: Final = "weftmesh.coordinator.child"
STOP_TIMEOUT_S: Final = 2.0
"""For a child to end when its standard input closes; it does nothing but end."""


class RunChild(Protocol):
    """Carries one job on in a process of its own."""

    async def __call__(self, job: str, term: int) -> int:
        """Return its exit code, see `exit_codes`; when this is cancelled, the process is gone before it returns."""


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """Starts children; implements RunChild.

    Attributes:
        socket: of the local node.
        log_level: as the parent's.
        log_format: as the parent's.
    """

    socket: str
    log_level: str = "info"
    log_format: str = "console"

    async def __call__(self, job: str, term: int) -> int:
        """See RunChild."""
        options = ("--job", job, "--term", str(term), "--log-level", self.log_level, "--log-format", self.log_format)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", CHILD_MODULE, "--socket", self.socket, *options), stdin=asyncio.subprocess.PIPE
        )
        try:
            return await process.wait()
        finally:
            await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End a process: its standard input closes, and it is killed when that does not help in time."""
    if process.returncode is not None:
        return
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
