"""The listening socket of systemd's socket activation (sd_listen_fds(3)): whoever connected only wanted us started."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping, Sequence
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


class Waiting:
    """Those who connected because they want a learner, until they hang up: they have one then.

    Connections are accepted all the time, or one that is left would start the next learner for nothing; and they are
    kept, because one that is made while this learner takes its leave is meant for the next.

    Args:
        listeners: see `take_listeners`.
    """

    def __init__(self, listeners: Sequence[socket.socket]) -> None:
        self.listeners = listeners
        self._connections: list[socket.socket] = []

    def accept(self) -> None:
        """Take in whoever has connected, and forget who has hung up."""
        for listener in self.listeners:
            # BlockingIOError: no more; any other: whoever connected is gone already.
            with suppress(OSError):
                while True:
                    self._connections.append(listener.accept()[0])
        gone = [one for one in self._connections if not _is_open(one)]
        for connection in gone:
            connection.close()
            self._connections.remove(connection)

    def somebody_waits(self) -> bool:
        """Whether one of them still wants a learner."""
        self.accept()
        return bool(self._connections)


def _is_open(connection: socket.socket) -> bool:
    """Whether the other end, which says nothing, has not hung up."""
    try:
        return connection.recv(1, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
