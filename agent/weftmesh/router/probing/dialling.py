"""TCP connections with the time that they took; a name is looked up before the time begins."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from weftmesh.router.probing.arrival import handshake_s
from weftmesh.router.probing.names import Names


@asynccontextmanager
async def dialled(address: str, names: Names) -> AsyncIterator[tuple[socket.socket, float]]:
    """A connected socket that does not block, and how many seconds connecting took; closed when the block ends.

    Args:
        address: host:port.
        names: looks it up.

    Raises:
        OSError: the host has no address, or does not take the connection.
        InvalidInputError: it is no address.
    """
    family, where = await names.find(address)
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun_s = time.monotonic()
        await asyncio.get_running_loop().sock_connect(connection, where)
        took_s = time.monotonic() - begun_s
        yield connection, min(took_s, handshake_s(connection) or took_s)
    finally:
        connection.close()


def why(error: OSError) -> str:
    """An error of the network in a few words."""
    if error.errno is None or isinstance(error, socket.gaierror):
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)  # the loop has put the address in the place of the kernel's words
