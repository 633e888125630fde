"""Ways to a port: bare TCP, TLS with a certificate or another or none, a local socket."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONNECT_TIMEOUT_S: Final = 10.0
READ_BYTES: Final = 65_536


@dataclass(frozen=True)
class Certificate:
    """The files of one."""

    chain: Path
    key: Path


@dataclass(frozen=True)
class Door:
    """Where an attack goes.

    Attributes:
        name: for the table.
        address: host:port, or the path of a local socket.
        method: one that is served there.
        session: the certificate to begin a TLS session with; None for one without, as the enrolment port has it.
        others: certificates that must not pass, by what is wrong with them.
    """

    name: str
    address: str
    method: str
    session: Certificate | None = None
    others: tuple[tuple[str, Certificate], ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether it is a socket of this machine, without TLS."""
        return self.address.startswith("/")


class Wire:
    """One connection, read from as its other end writes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._reading = asyncio.ensure_future(self._read())
        self.received = bytearray()

    async def send(self, *pieces: bytes) -> bool:
        """Write; False once the other end has had enough."""
        with suppress(ConnectionError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                for piece in pieces:
                    if self._reading.done() or self._writer.is_closing():
                        return False
                    self._writer.write(piece)
                    await self._writer.drain()
                return True
        return False

    async def hear(self, limit_s: float) -> bool:
        """Wait for the other end to close; whether it did in time."""
        await asyncio.wait([self._reading], timeout=limit_s)
        return self._reading.done()

    async def close(self) -> None:
        """Hang up."""
        self._writer.transport.abort()
        await asyncio.wait([self._reading])

    async def _read(self) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await self._reader.read(READ_BYTES):
                if len(self.received) < READ_BYTES:
                    self.received += data


def tls(certificate: Certificate | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A client that believes everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    if certificate is not None:
        context.load_cert_chain(certificate.chain, certificate.key)
    return context


@asynccontextmanager
async def bare(door: Door) -> AsyncIterator[Wire]:
    """A connection before TLS."""
    async with _opened(door, None) as wire:
        yield wire


@asynccontextmanager
async def session(door: Door) -> AsyncIterator[Wire]:
    """A connection that speaks HTTP/2 next: through TLS, or on a local socket at once."""
    async with _opened(door, None if door.is_local else tls(door.session)) as wire:
        yield wire


@asynccontextmanager
async def with_context(door: Door, context: ssl.SSLContext) -> AsyncIterator[Wire]:
    """A connection through TLS as it is told."""
    async with _opened(door, context) as wire:
        yield wire


@asynccontextmanager
async def _opened(door: Door, context: ssl.SSLContext | None) -> AsyncIterator[Wire]:
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        if door.is_local:
            ends = await asyncio.open_unix_connection(door.address)
        else:
            host, port = door.address.rsplit(":", 1)
            ends = await asyncio.open_connection(host, int(port), ssl=context)
    wire = Wire(*ends)
    try:
        yield wire
    finally:
        await wire.close()


async def connect_and_reset(door: Door) -> None:
    """Connect, and break it off with a RST."""
    host, port = door.address.rsplit(":", 1)
    with socket.socket() as end:
        end.setblocking(False)
        await asyncio.get_running_loop().sock_connect(end, (host, int(port)))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def client_hello() -> bytes:
    """What a TLS client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = tls(None).wrap_bio(incoming, outgoing)
    with suppress(ssl.SSLWantReadError):
        side.do_handshake()
    return outgoing.read()
