"""Child processes that talk over a socket pair, and that end when their parent does."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Final

END_TIMEOUT_S: Final = 2.0
"""For a child to end by itself when its socket closes."""
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class Child:
    """A running child; its standard input is the other end of the streams."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def end(self, timeout_s: float = END_TIMEOUT_S) -> int:
        """Close the socket, kill what does not end by that in time, and return the exit code."""
        self.writer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                return await self.process.wait()
        self.kill()
        return await self.process.wait()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


async def start_child(module: str, *arguments: str) -> Child:
    """Start `python -m module PARENT-PID arguments...`.

    Raises:
        OSError: there is no further process or socket to be had.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", module, str(os.getpid()), *arguments), stdin=theirs.fileno()
            )
        reader, writer = await asyncio.open_connection(sock=ours)
    except BaseException:
        ours.close()
        raise
    return Child(process, reader, writer)


def parents_channel(parent: int) -> socket.socket:
    """Called by a child first: from now on it is killed when its parent ends. Returns its end of the socket pair.

    The kernel looks at the thread that started the child: that of the parent's loop. SIGINT and SIGTERM are sent to
    whole groups of processes; the child leaves them to its parent, which ends it in order.

    Raises:
        SystemExit: the parent has ended already.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return socket.socket(fileno=os.dup(0))
