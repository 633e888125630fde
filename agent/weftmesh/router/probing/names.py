"""Addresses of endpoints: numbers at once, names by the system's resolver, in threads of their own and remembered.

A resolver that does not answer holds its thread for long. It must hold neither the threads that write to disk nor
probes of a name that was found before.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.daemon_threads import DaemonThreads

THREADS: Final = 4
FRESH_S: Final = 30.0
"""A name is looked up again after so long; what was found before holds until an answer is there."""
NAMES_MAX: Final = 10_000
Where: TypeAlias = tuple[socket.AddressFamily, tuple[Any, ...]]
Resolve: TypeAlias = Callable[[str, int], Where]


def resolve(host: str, port: int) -> Where:
    """Ask the system; blocks.

    Raises:
        OSError: the host has no address.
    """
    family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, where


class Names:
    """Looks addresses up.

    Args:
        ask: the resolver.
    """

    def __init__(self, ask: Resolve = resolve) -> None:
        self._ask = ask
        self._threads = DaemonThreads(THREADS, "names")
        self._found: dict[str, tuple[Where, float]] = {}
        self._asking: dict[str, asyncio.Future[Where]] = {}

    async def find(self, address: str) -> Where:
        """The family and the socket address of host:port.

        Raises:
            OSError: the host has no address.
            InvalidInputError: it is no address.
        """
        host, port = split_address(address)
        try:
            family, _, _, _, where = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )[0]
        except socket.gaierror:
            return await self._find_name(address, host, port)
        return family, where

    def close(self) -> None:
        """Ask nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _find_name(self, address: str, host: str, port: int) -> Where:
        found = self._found.get(address)
        if found is not None and time.monotonic() < found[1]:
            return found[0]
        asking = self._asking.get(address)
        if asking is None:
            asking = asyncio.get_running_loop().run_in_executor(self._threads, self._ask, host, port)
            self._asking[address] = asking
            asking.add_done_callback(lambda done: self._answered(address, done))
        # Whoever waits may give up: the question goes on, for the next one.
        return found[0] if found is not None else await asyncio.shield(asking)

    def _answered(self, address: str, done: asyncio.Future[Where]) -> None:
        del self._asking[address]
        if not done.cancelled() and done.exception() is None:
            if len(self._found) >= NAMES_MAX:
                self._found.clear()
            self._found[address] = (done.result(), time.monotonic() + FRESH_S)
