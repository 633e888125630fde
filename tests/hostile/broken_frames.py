"""HTTP/2 that is wrong in one field at a time, from a client that has passed TLS."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Final

from tests.hostile import frames
from tests.hostile.before_tls import PATIENCE_S, SLOW_BYTES, Attack
from tests.hostile.doors import Door, session
from tests.hostile.frames import ACK, END_HEADERS, END_STREAM, PADDED, frame

LARGE_BYTES: Final = 60_000
MESSAGE_BYTES: Final = 5 * 1024 * 1024


async def _say(door: Door, *pieces: bytes, opening: bytes | None = None) -> None:
    async with session(door) as wire:
        await wire.send(frames.opening() if opening is None else opening, *pieces)
        await wire.hear(PATIENCE_S)


async def garbage(door: Door, rng: random.Random) -> None:
    """Random bytes instead of the preface, or after it."""
    opening = rng.choice((b"", frames.PREFACE, frames.opening()))
    await _say(door, rng.randbytes(rng.randint(1, 4096)), opening=opening)


async def size(door: Door, rng: random.Random) -> None:
    """A length that the type does not have, or beyond the largest frame."""
    kind, payload_bytes = rng.choice(
        (
            (frames.SETTINGS, 5),
            (frames.PING, 7),
            (frames.RST_STREAM, 3),
            (frames.WINDOW_UPDATE, 5),
            (frames.PRIORITY, 4),
            (frames.GOAWAY, 7),
        )
    )
    stream = 1 if kind in (frames.RST_STREAM, frames.PRIORITY) else 0
    wrong = frame(kind, 0, stream, rng.randbytes(payload_bytes))
    beyond = frame(frames.DATA, 0, 1, b"x" * 100, length_bytes=rng.choice((16_777_215, 4_194_305)))
    await _say(door, frames.call_headers(1, door.method), rng.choice((wrong, beyond)))


async def kind(door: Door, rng: random.Random) -> None:
    """Types that do not exist, or that a client must not send."""
    unknown = b"".join(
        frame(rng.randint(10, 255), rng.randrange(256), rng.choice((0, 1)), b"?" * 9) for _ in range(500)
    )
    push = frame(frames.PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + frames.block([(":path", "/")]))
    await _say(door, rng.choice((unknown, push, frame(frames.GOAWAY, payload=bytes(8)))))


async def stream_id(door: Door, rng: random.Random) -> None:
    """Streams that cannot be: zero, even, closed, backwards, or for frames of the connection."""
    headers = frames.call_headers(1, door.method)
    wrong = (
        frame(frames.DATA, END_STREAM, 0, b"x"),
        frames.call_headers(2, door.method),
        frame(frames.SETTINGS, 0, 1),
        frame(frames.PING, 0, 3, bytes(8)),
        frames.call_headers(5, door.method) + frames.call_headers(3, door.method),
        frame(frames.RST_STREAM, 0, 1, frames.CANCEL) + frames.message(1, b"x"),
        frame(frames.WINDOW_UPDATE, 0, 99, struct.pack(">I", 1)),
        frame(frames.DATA, 0, 0x7FFFFFFF, b"x"),
    )
    await _say(door, headers, rng.choice(wrong))


async def flags(door: Door, rng: random.Random) -> None:
    """Padding longer than the frame, acknowledgements of nothing, and flags by chance."""
    wrong = (
        frame(frames.DATA, PADDED, 1, bytes([255]) + b"x"),
        frame(frames.HEADERS, PADDED | END_HEADERS, 1, bytes([200]) + b"x"),
        frame(frames.SETTINGS, ACK, 0, bytes(6)),
        frame(frames.SETTINGS, ACK) * 3,
        b"".join(frame(rng.randrange(10), rng.randrange(256), 1, rng.randbytes(8)) for _ in range(20)),
    )
    await _say(door, frames.call_headers(1, door.method), rng.choice(wrong))


async def truncated(door: Door, rng: random.Random) -> None:
    """A frame that ends in the middle, and silence or a hang-up."""
    whole = frames.call_headers(1, door.method) + frames.message(1, rng.randbytes(200))
    async with session(door) as wire:
        await wire.send(frames.opening(), whole[: rng.randrange(1, len(whole))])
        await wire.hear(rng.choice((0.0, PATIENCE_S)))


async def settings(door: Door, rng: random.Random) -> None:
    """Settings beyond their bounds."""
    number, value = rng.choice(((4, 0xFFFFFFFF), (5, 1), (5, 0xFFFFFFFF), (2, 7), (1, 0xFFFFFFFF), (0xFFFF, 1)))
    await _say(door, frames.call_headers(1, door.method), opening=frames.opening(struct.pack(">HI", number, value)))


async def header_block(door: Door, rng: random.Random) -> None:
    """HPACK that breaks its own rules: no such entry, endless numbers, strings beyond the block, broken Huffman."""
    wrong = (
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        bytes([0x80]),
        bytes([0xBE]),
        frames.integer(1 << 28, 5, 0x20),
        b"\x00" + frames.integer(100_000, 7, 0) + b"abc",
        b"\x00\x83\xff\xff\xff\x01a",
        rng.randbytes(200),
    )
    await _say(door, frame(frames.HEADERS, END_HEADERS, 1, rng.choice(wrong)))


async def pseudo_headers(door: Door, rng: random.Random) -> None:
    """Requests without a path, with two, with one that is too long, or with another method."""
    fields = frames.request_fields(door.method)
    wrong = (
        fields[:2],
        [*fields, (":path", "/again")],
        [(name, "/" + "p" * 15_000) if name == ":path" else (name, value) for name, value in fields],
        [(name, "GET") if name == ":method" else (name, value) for name, value in fields],
        [(name.upper(), value) for name, value in fields],
        [*fields, ("grpc-timeout", "99999999999999S")],
        [*fields, ("grpc-encoding", "nonsense")],
    )
    block = frames.block(rng.choice(wrong))
    await _say(door, frame(frames.HEADERS, END_HEADERS, 1, block), frames.message(1, b""))


async def content_type(door: Door, rng: random.Random) -> None:
    """No gRPC."""
    kind = rng.choice(("text/html", "application/json", "", "application/grpcx", "a" * 5_000))
    await _say(door, frames.call_headers(1, door.method, content_type=kind), frames.message(1, b""))


async def large_headers(door: Door, rng: random.Random) -> None:
    """Sixty kilobytes of metadata, from a client that acknowledged our settings."""
    async with session(door) as wire:
        await wire.send(frames.opening(), frame(frames.SETTINGS, ACK))
        fields = [(f"x{number}", "y" * 1_000) for number in range(LARGE_BYTES // 1_000)]
        block = frames.block(frames.request_fields(door.method, further=fields))
        await wire.send(frame(frames.HEADERS, 0, 1, block[:16_000]))
        parts = [block[at : at + 16_000] for at in range(16_000, len(block), 16_000)]
        for part in parts:
            await wire.send(frame(frames.CONTINUATION, END_HEADERS if part is parts[-1] else 0, 1, part))
        await wire.hear(PATIENCE_S)


async def large_message(door: Door, rng: random.Random) -> None:
    """A message beyond what is taken: announced only, or sent."""
    announced = frames.message(
        1, b"x" * 1_000, length_bytes=rng.choice((0xFFFFFFFF, 1 << 30, MESSAGE_BYTES)), end=False
    )
    sent = frames.message(1, bytes(9_000), length_bytes=MESSAGE_BYTES, end=False)
    sent += frame(frames.DATA, 0, 1, bytes(16_000)) * (MESSAGE_BYTES // 16_000)
    await _say(door, frames.call_headers(1, door.method), rng.choice((announced, sent)))


async def truncated_message(door: Door, rng: random.Random) -> None:
    """A stream that ends within its message."""
    await _say(door, frames.call_headers(1, door.method), frames.message(1, rng.randbytes(50), length_bytes=500))


async def compressed_message(door: Door, rng: random.Random) -> None:
    """A message that says it is compressed, and is not."""
    headers = frames.call_headers(1, door.method, further=[("grpc-encoding", rng.choice(("gzip", "deflate")))])
    await _say(door, headers, frames.message(1, rng.randbytes(500), compressed=1))


async def broken_protobuf(door: Door, rng: random.Random) -> None:
    """Bytes that are no message of the method."""
    calls = b"".join(
        frames.call_headers(2 * number + 1, door.method) + frames.message(2 * number + 1, b"\x0a" + rng.randbytes(40))
        for number in range(20)
    )
    await _say(door, calls)


async def unknown_method(door: Door, rng: random.Random) -> None:
    """Methods that are not there."""
    paths = ("/a.B/C", "/", "", "/" + "x" * 500, door.method + "Again", "/weftmesh.board.v1.BoardService/", "//")
    calls = b"".join(
        frames.call_headers(2 * number + 1, rng.choice(paths)) + frames.message(2 * number + 1, b"")
        for number in range(20)
    )
    await _say(door, calls)


async def slow_request(door: Door, rng: random.Random) -> None:
    """A request of one byte a second."""
    async with session(door) as wire:
        await wire.send(frames.opening(), frame(frames.SETTINGS, ACK), frames.call_headers(1, door.method))
        body = frames.message(1, rng.randbytes(500))
        for at in range(SLOW_BYTES):
            if not await wire.send(body[at : at + 1]):
                return
            await asyncio.sleep(1.0)


KINDS: Final[dict[str, Attack]] = {
    "garbage inside TLS": garbage,
    "frame size": size,
    "frame type": kind,
    "frame stream id": stream_id,
    "frame flags": flags,
    "truncated frame": truncated,
    "settings out of bounds": settings,
    "broken HPACK": header_block,
    "pseudo-headers": pseudo_headers,
    "content type": content_type,
    "headers of 60 KB": large_headers,
    "message over 4 MiB": large_message,
    "truncated message": truncated_message,
    "compression that is none": compressed_message,
    "broken protobuf": broken_protobuf,
    "unknown method": unknown_method,
    "request, a byte a second": slow_request,
}
