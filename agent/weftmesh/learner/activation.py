"""The listening socket of systemd's socket activation (sd_listen_fds(3)): whoever connected only wanted us started."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

FIRST_DESCRIPTOR: Final = 3
_NAMES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def take_listeners(environment: MutableMapping[str, str]) -> list[socket.socket]:
    """The listening sockets that were passed to this very process, not blocking; none when it was started by hand.

    Args:
        environment: of the process; what is about sockets is taken out, lest a child believe that it is meant.
    """
    pid, count, _ = (environment.pop(name, "") for name in _NAMES)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    listeners = []
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
        listener = socket.socket(fileno=descriptor)
        listener.set_inheritable(False)
        listener.setblocking(False)
        listeners.append(listener)
    return listeners


def drain(listener: socket.socket) -> int:
    """Accept and close every connection that waits; one that is left would start the next learner for nothing.

    Returns:
        How many there were.
    """
    count = 0
    # BlockingIOError: no more; any other: whoever connected is gone already.
    with suppress(OSError):
        while True:
            listener.accept()[0].close()
            count += 1
    return count
