"""Child processes that talk over a socket pair, and that end when their parent does.

They are started by `subprocess` and not by the loop: uvloop copies the whole process for that, and runs in the copy
what libraries registered for after a fork. gRPC did, its threads are not in the copy, and some copies crash or hang
there before they are the child. `subprocess` calls vfork, which copies nothing and runs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Final

END_TIMEOUT_S: Final = 2.0
"""For a child to end by itself when its socket closes."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running child; its standard input is the other end of the streams."""

    process: subprocess.Popen[bytes]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def end(self, timeout_s: float = END_TIMEOUT_S) -> int:
        """Close the socket, kill what does not end by that in time, and return the exit code."""
        self.writer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                return await self._ended()
        self.kill()
        return await self._ended()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()

    async def _ended(self) -> int:
        """Return the exit code once there is one."""
        if (code := self.process.poll()) is not None:
            return code
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        descriptor = os.pidfd_open(self.process.pid)
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self.process.wait()


async def start_child(module: str, *arguments: str) -> Child:
    """Start `python -m module arguments...`, isolated from its surroundings if this process is.

    Raises:
        OSError: there is no further process or socket to be had.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - not by the loop, see above; all words are ours
                [sys.executable, "-I" if sys.flags.isolated else "-P", "-m", module, *arguments], stdin=theirs.fileno()
            )
        reader, writer = await asyncio.open_connection(sock=ours)
    except BaseException:
        ours.close()
        raise
    return Child(process, reader, writer)


def parents_channel() -> socket.socket:
    """Called by a child first: returns its end of the socket pair. When the other end closes, the child has to end.

    If it does not in time, as it computes or hangs, it is killed by a thread that sleeps until then. SIGINT and SIGTERM
    are sent to whole groups of processes; the child leaves them to its parent, which ends it in order.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.dup(0),), name="parent", daemon=True).start()
    return socket.socket(fileno=os.dup(0))


def _end_with(channel: int) -> None:
    closed = select.poll()
    closed.register(channel, select.POLLRDHUP)
    closed.poll()
    time.sleep(END_TIMEOUT_S / 2)
    os.kill(os.getpid(), signal.SIGKILL)
