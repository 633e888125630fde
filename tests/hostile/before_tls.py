"""What an attacker without a certificate does: bytes that are no TLS, half of a handshake, the wrong certificate."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

from tests.hostile import frames
from tests.hostile.doors import Door, bare, client_hello, connect_and_reset, tls, with_context

Attack = Callable[[Door, random.Random], Awaitable[None]]

PATIENCE_S: Final = 1.0
"""How long an attacker waits to see what comes of it."""
SLOW_BYTES: Final = 8
"""Sent one a second."""
RESETS: Final = 50


async def garbage(door: Door, rng: random.Random) -> None:
    """Random bytes."""
    async with bare(door) as wire:
        await wire.send(rng.randbytes(rng.randint(1, 4096)))
        await wire.hear(PATIENCE_S)


async def truncated_hello(door: Door, rng: random.Random) -> None:
    """The beginning of a handshake, and silence or a hang-up."""
    hello = client_hello()
    async with bare(door) as wire:
        await wire.send(hello[: rng.randrange(1, len(hello))])
        await wire.hear(rng.choice((0.0, PATIENCE_S)))


async def broken_hello(door: Door, rng: random.Random) -> None:
    """A handshake with wrong bits."""
    hello = bytearray(client_hello())
    for _ in range(rng.randint(1, 20)):
        hello[rng.randrange(len(hello))] ^= 1 << rng.randrange(8)
    async with bare(door) as wire:
        await wire.send(bytes(hello))
        await wire.hear(PATIENCE_S)


async def http1(door: Door, rng: random.Random) -> None:
    """Another protocol altogether."""
    verb = rng.choice(("GET", "POST", "OPTIONS", "CONNECT"))
    async with bare(door) as wire:
        await wire.send(f"{verb} / HTTP/1.1\r\nHost: mesh\r\nX: {'y' * rng.randint(0, 20_000)}\r\n\r\n".encode())
        await wire.hear(PATIENCE_S)


async def http2_without_tls(door: Door, rng: random.Random) -> None:
    """HTTP/2 in the clear."""
    async with bare(door) as wire:
        await wire.send(frames.opening(), frames.call_headers(1, door.method), frames.message(1, b""))
        await wire.hear(PATIENCE_S)


async def half_open(door: Door, rng: random.Random) -> None:
    """A connection, and nothing on it."""
    async with bare(door) as wire:
        await wire.hear(rng.uniform(1.0, 4.0))


async def slow_hello(door: Door, rng: random.Random) -> None:
    """A handshake of one byte a second."""
    hello = client_hello()
    async with bare(door) as wire:
        for at in range(SLOW_BYTES):
            if not await wire.send(hello[at : at + 1]):
                return
            await asyncio.sleep(1.0)


async def connect_storm(door: Door, rng: random.Random) -> None:
    """Connections that are broken off as soon as they are made."""
    for _ in range(RESETS):
        await connect_and_reset(door)


async def wrong_certificate(door: Door, rng: random.Random) -> None:
    """A whole handshake with no certificate, one of another authority, or one that has expired."""
    _, certificate = rng.choice([("none", None), *door.others])
    await _handshake(door, tls(certificate))


async def old_tls(door: Door, rng: random.Random) -> None:
    """TLS 1.2."""
    await _handshake(door, tls(door.session, ssl.TLSVersion.TLSv1_2))


async def _handshake(door: Door, context: ssl.SSLContext) -> None:
    try:
        async with with_context(door, context) as wire:
            await wire.send(frames.opening(), frames.call_headers(1, door.method), frames.message(1, b""))
            await wire.hear(PATIENCE_S)
    except ssl.SSLError:
        return  # refused within the handshake


KINDS: Final[dict[str, Attack]] = {
    "garbage": garbage,
    "truncated ClientHello": truncated_hello,
    "broken ClientHello": broken_hello,
    "HTTP/1": http1,
    "HTTP/2 without TLS": http2_without_tls,
    "half-open": half_open,
    "ClientHello, a byte a second": slow_hello,
    "connections reset at once": connect_storm,
    "no, foreign or expired certificate": wrong_certificate,
    "TLS 1.2": old_tls,
}
