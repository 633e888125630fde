"""The child process of the critical lane: `python -m weftmesh.runtime.lanes.critical.child {rr,none} MODULE...`.

It starts each tick at its times and tells what came of it. It ends when its parent does.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import math
import signal
import socket
import sys
import time
import zlib
from collections.abc import Sequence
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.lanes.children import parents_channel
from weftmesh.runtime.lanes.critical import messages
from weftmesh.runtime.lanes.critical.messages import Ending, Kind, Tick, TickResult
from weftmesh.runtime.lanes.critical.priority import Priority, take_real_time
from weftmesh.runtime.lanes.framing import read_frame
from weftmesh.runtime.lanes.registry import TICKS, load

ALIVE_S: Final = 0.25
UNSENT_BYTES_MAX: Final = 1024 * 1024
"""When the parent does not read, what it has missed by so much is dropped and counted."""
ERROR_BYTES_MAX: Final = 1000


class Ticking:
    """Runs ticks on this loop until the parent closes.

    Args:
        priority: what to tell the parent about it.
    """

    def __init__(self, priority: Priority) -> None:
        self._priority = priority
        self._tasks: dict[Tick, asyncio.Task[None]] = {}
        self._skipped = 0
        self._dropped = 0

    async def run(self, channel: socket.socket) -> None:
        """Serve the parent until it is gone."""
        reader, writer = await asyncio.open_connection(sock=channel)
        writer.write(messages.hello(self._priority.real_time, self._priority.why))
        beating = asyncio.create_task(self._beat(writer))
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    kind, body = await read_frame(reader)
                    if kind == Kind.TICKS:
                        await self._set(tuple(messages.read_ticks(body)), writer)
        finally:
            beating.cancel()
            for task in self._tasks.values():
                task.cancel()

    async def _set(self, wanted: Sequence[Tick], writer: asyncio.StreamWriter) -> None:
        """Begin what is new and end what is no longer wanted; the others keep their rhythm."""
        unwanted = [self._tasks.pop(one) for one in self._tasks.keys() - set(wanted)]
        for task in unwanted:
            task.cancel()
        await asyncio.gather(*unwanted, return_exceptions=True)
        for one in wanted:
            if one not in self._tasks:
                self._tasks[one] = asyncio.create_task(self._repeat(one, writer), name=one.name)

    async def _beat(self, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(messages.alive(self._skipped, self._dropped))
            await asyncio.sleep(ALIVE_S)

    async def _repeat(self, tick: Tick, writer: asyncio.StreamWriter) -> None:
        """Start a tick at whole periods after now, less a part of the first, so that not all start at once.

        Starts that it sleeps over are skipped, not caught up with.
        """
        loop = asyncio.get_running_loop()
        begun_s, period, number = loop.time() - _phase(tick) * tick.period_s, 0, 0
        while True:
            missed = math.floor((loop.time() - begun_s) / tick.period_s) - period
            self._skipped += max(0, missed)
            period += max(0, missed) + 1
            planned_s = begun_s + period * tick.period_s
            await asyncio.sleep(planned_s - loop.time())
            number += 1
            started_s = time.monotonic()
            ending, payload = await _once(tick)
            ran_s = time.monotonic() - started_s
            late_s = max(0.0, started_s - planned_s)
            self._send(writer, TickResult(tick.name, number, started_s, late_s, ran_s, ending, payload))

    def _send(self, writer: asyncio.StreamWriter, one: TickResult) -> None:
        if writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._dropped += 1
        else:
            writer.write(messages.result(one))


def _phase(tick: Tick) -> float:
    """0 to 1, as the name has it."""
    return zlib.crc32(tick.name.encode()) / 2**32


async def _once(tick: Tick) -> tuple[Ending, bytes]:
    try:
        async with asyncio.timeout(tick.deadline_s) as bounded:
            return Ending.DONE, await TICKS[tick.function](tick.payload)
    except TimeoutError as error:
        return (Ending.DEADLINE, b"") if bounded.expired() else (Ending.FAILED, _words(error))
    except Exception as error:  # noqa: BLE001 - the lane goes on whatever a tick does; the parent is told
        return Ending.FAILED, _words(error)


def _words(error: Exception) -> bytes:
    return f"{type(error).__name__}: {error}".encode()[:ERROR_BYTES_MAX]


def main(arguments: Sequence[str]) -> None:
    """Take the parent's socket, the modules with ticks and the priority, and run.

    Raises:
        InvalidInputError: the arguments are not those of a parent.
    """
    if not arguments or arguments[0] not in ("rr", "none"):
        raise InvalidInputError("usage: rr|none MODULE...; only `runtime.lanes.critical.lane` starts this")
    channel = parents_channel()
    load(arguments[1:])
    # Says on stderr in which line a tick ran away before the kernel's limit ends the process.
    faulthandler.register(signal.SIGXCPU, all_threads=False, chain=True)
    gc.collect()
    gc.freeze()
    priority = take_real_time() if arguments[0] == "rr" else Priority(False, "it was not asked for")
    asyncio.run(Ticking(priority).run(channel))


if __name__ == "__main__":
    main(sys.argv[1:])
