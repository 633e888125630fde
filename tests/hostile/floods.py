"""Much of what is allowed once: frames, streams, calls and connections, from a client that has passed TLS."""

from __future__ import annotations

import asyncio
import random
import struct
from contextlib import AsyncExitStack, suppress
from typing import Final

from tests.hostile import frames
from tests.hostile.before_tls import PATIENCE_S, Attack
from tests.hostile.doors import Door, bare, session
from tests.hostile.frames import ACK, END_HEADERS, frame

FRAMES: Final = 20_000
RESETS: Final = 3_000
STREAMS: Final = 2_000
CALLS: Final = 4_000
IDLE_CONNECTIONS: Final = 2_000
IDLE_S: Final = 5.0
WATCHES: Final = 400
WATCH: Final = "/weftmesh.board.v1.BoardService/Watch"
WATCH_ALL: Final = b"\x0a\x0aprojects/-"
EXCHANGE: Final = "/weftmesh.mesh.v1.RaftService/Exchange"
PIECE: Final = 200
"""Frames written at a time."""
BOMB_STREAMS: Final = 50
BOMB_REFERENCES: Final = 4_000


async def _flood(door: Door, one: bytes, count: int, begin: bytes = b"") -> None:
    async with session(door) as wire:
        await wire.send(frames.opening(), begin)
        for _ in range(count // PIECE):
            if not await wire.send(one * PIECE):
                return
        await wire.hear(PATIENCE_S)


async def settings(door: Door, rng: random.Random) -> None:
    """Each has to be acknowledged."""
    await _flood(door, frame(frames.SETTINGS, payload=struct.pack(">HI", 4, rng.randint(1, 100_000))), FRAMES)


async def pings(door: Door, rng: random.Random) -> None:
    """Each has to be answered."""
    await _flood(door, frame(frames.PING, payload=rng.randbytes(8)), FRAMES)


async def small_frames(door: Door, rng: random.Random) -> None:
    """Empty DATA, priorities and window updates."""
    one = rng.choice(
        (
            frame(frames.DATA, 0, 1),
            frame(frames.PRIORITY, 0, 1, bytes(5)),
            frame(frames.WINDOW_UPDATE, 0, 1, struct.pack(">I", 1)),
            frame(frames.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 20)),
        )
    )
    await _flood(door, one, FRAMES, frames.call_headers(1, door.method))


async def rapid_reset(door: Door, rng: random.Random) -> None:
    """Calls that are broken off as soon as they are begun (CVE-2023-44487)."""
    async with session(door) as wire:
        await wire.send(frames.opening(), frame(frames.SETTINGS, ACK))
        for first in range(0, RESETS, PIECE):
            numbers = range(2 * first + 1, 2 * (first + PIECE) + 1, 2)
            calls = (
                frames.call_headers(n, door.method) + frame(frames.RST_STREAM, 0, n, frames.CANCEL) for n in numbers
            )
            if not await wire.send(b"".join(calls)):
                return
        await wire.hear(PATIENCE_S)


async def continuation(door: Door, rng: random.Random) -> None:
    """One header block without an end (CVE-2024-27316)."""
    async with session(door) as wire:
        await wire.send(frames.opening(), frame(frames.HEADERS, 0, 1, frames.block(frames.request_fields(door.method))))
        for number in range(2_000):
            if not await wire.send(frame(frames.CONTINUATION, 0, 1, frames.literal(f"x{number}", "y" * 4_000))):
                return
        await wire.hear(PATIENCE_S)


async def header_bomb(door: Door, rng: random.Random) -> None:
    """An entry of four kilobytes, named four thousand times by a byte each, on many streams."""
    first = frames.block(frames.request_fields(door.method)) + frames.literal("bomb", "b" * 3_900, indexed=True)
    async with session(door) as wire:
        await wire.send(frames.opening(), frame(frames.HEADERS, END_HEADERS, 1, first))
        block = frames.block(frames.request_fields(door.method)) + bytes([0xBE]) * BOMB_REFERENCES
        for number in range(1, BOMB_STREAMS):
            if not await wire.send(frame(frames.HEADERS, END_HEADERS, 2 * number + 1, block)):
                return
        await wire.hear(PATIENCE_S)


async def streams(door: Door, rng: random.Random) -> None:
    """Calls whose requests never come."""
    async with session(door) as wire:
        await wire.send(frames.opening(), frame(frames.SETTINGS, ACK))
        for number in range(STREAMS):
            if not await wire.send(frames.call_headers(2 * number + 1, door.method)):
                return
        await wire.hear(PATIENCE_S)


async def calls(door: Door, rng: random.Random) -> None:
    """Whole calls, one after the other, without waiting for answers."""
    async with session(door) as wire:
        window = frame(frames.WINDOW_UPDATE, payload=struct.pack(">I", 1 << 30))
        await wire.send(frames.opening(), frame(frames.SETTINGS, ACK), window)
        for number in range(CALLS):
            one = frames.call_headers(2 * number + 1, door.method) + frames.message(2 * number + 1, b"")
            if not await wire.send(one):
                return
        await wire.hear(PATIENCE_S)


async def watches(door: Door, rng: random.Random) -> None:
    """Watches of everything, more than a caller may have."""
    async with session(door) as wire:
        await wire.send(frames.opening(), frame(frames.SETTINGS, ACK))
        for number in range(WATCHES):
            one = frames.call_headers(2 * number + 1, WATCH) + frames.message(2 * number + 1, WATCH_ALL)
            if not await wire.send(one):
                return
        await wire.hear(PATIENCE_S)


async def log_streams(door: Door, rng: random.Random) -> None:
    """The log's own streams, with what is no batch, or with nothing."""
    async with session(door) as wire:
        await wire.send(frames.opening(), frame(frames.SETTINGS, ACK))
        for number in range(CALLS // 2):
            body = frames.message(2 * number + 1, rng.randbytes(30), end=False) if number % 2 else b""
            if not await wire.send(frames.call_headers(2 * number + 1, EXCHANGE) + body):
                return
        await wire.hear(PATIENCE_S)


async def unread_answers(door: Door, rng: random.Random) -> None:
    """Calls with a window of nothing: the answers stay where they are."""
    async with session(door) as wire:
        await wire.send(frames.opening(struct.pack(">HI", 4, 0)), frame(frames.SETTINGS, ACK))
        for number in range(200):
            one = frames.call_headers(2 * number + 1, door.method) + frames.message(2 * number + 1, b"")
            if not await wire.send(one):
                return
        await wire.hear(PATIENCE_S)


async def idle_sessions(door: Door, rng: random.Random) -> None:
    """Whole handshakes, and nothing after them."""
    async with AsyncExitStack() as stack:
        with suppress(OSError):
            for _ in range(40):
                await stack.enter_async_context(session(door))
        await asyncio.sleep(PATIENCE_S)


async def idle_connections(door: Door, rng: random.Random) -> None:
    """Two thousand connections that say nothing."""
    async with AsyncExitStack() as stack:
        with suppress(OSError):
            for _ in range(IDLE_CONNECTIONS):
                await stack.enter_async_context(bare(door))
        await asyncio.sleep(IDLE_S)


KINDS: Final[dict[str, Attack]] = {
    "SETTINGS flood": settings,
    "PING flood": pings,
    "flood of small frames": small_frames,
    "rapid reset": rapid_reset,
    "CONTINUATION flood": continuation,
    "HPACK bomb": header_bomb,
    "streams without requests": streams,
    "flood of calls": calls,
    "flood of watches": watches,
    "flood of log streams": log_streams,
    "answers that nobody reads": unread_answers,
    "idle TLS sessions": idle_sessions,
}
ONCE: Final[dict[str, Attack]] = {"2,000 idle connections": idle_connections}
"""Begun once in a run."""
