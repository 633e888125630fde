"""A server to be probed: HTTP/1.1 on some ports, with errors now and then.

    python -m tests.netns.backend --ports 8080,8081 [--failing-permille N] [--seed N]

A share of the requests gets 503, the others 200. It says `ready` when it listens and ends with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_REQUEST_S: Final = 10.0
_REASONS: Final = {200: b"OK", 503: b"Service Unavailable"}


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, failing_permille: int, chance: random.Random
) -> None:
    """Answer one connection's requests until the client closes it."""
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
        while True:
            async with asyncio.timeout(_REQUEST_S):
                head = await reader.readuntil(b"\r\n\r\n")
            status = 503 if chance.randrange(1_000) < failing_permille else 200
            closing = b"connection: close" in head.lower()
            fields = b"content-length: 3\r\n" + (b"connection: close\r\n" if closing else b"")
            writer.write(b"HTTP/1.1 %d %s\r\n%s\r\nok\n" % (status, _REASONS[status], fields))
            await writer.drain()
            if closing:
                break
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def serve(ports: Sequence[int], failing_permille: int, chance: random.Random) -> None:
    """Serve until standard input ends."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer, failing_permille, chance)

    for port in ports:
        await asyncio.start_server(connected, "0.0.0.0", port, backlog=1_024)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.netns.backend")
    parser.add_argument("--ports", required=True)
    parser.add_argument("--failing-permille", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    ports = [int(port) for port in arguments.ports.split(",")]
    asyncio.run(serve(ports, arguments.failing_permille, random.Random(arguments.seed)))


if __name__ == "__main__":
    main()
