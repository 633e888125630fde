"""TCP connections with the time that they took; a name is looked up before the time begins."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from weftmesh.router.probing.arrival import handshake_s
from weftmesh.runtime.addresses import split_address


@asynccontextmanager
async def dialled(address: str) -> AsyncIterator[tuple[socket.socket, float]]:
    """A connected socket that does not block, and how many seconds connecting took; closed when the block ends.

    Args:
        address: host:port.

    Raises:
        OSError: the host has no address, or does not take the connection.
        InvalidInputError: it is no address.
    """
    loop = asyncio.get_running_loop()
    family, where = await looked_up(address)
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun_s = time.monotonic()
        await loop.sock_connect(connection, where)
        took_s = time.monotonic() - begun_s
        yield connection, min(took_s, handshake_s(connection) or took_s)
    finally:
        connection.close()


async def looked_up(address: str) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """The address family and the first socket address of host:port.

    Raises:
        OSError: the host has none.
        InvalidInputError: it is no address.
    """
    host, port = split_address(address)
    try:
        # A number needs no resolver, and no thread to wait for one.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, _, _, _, where = found[0]
    return family, where


def why(error: OSError) -> str:
    """An error of the network in a few words."""
    return error.strerror or str(error) or type(error).__name__
