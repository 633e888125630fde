"""The other end of a sync measurement, in a process of its own: notes when each event of a watch arrives.

Usage: python -m weftmesh.cli.bench_watcher SOCKET PARENT RESUME_REVISION. It prints `ready` with the first event.
Whoever started it then writes the last revision to wait for to its stdin, one line, and gets `revision receipt_us
commit_us` for each event, commit_us being 0 where the node did not learn when the write was committed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import uvloop

from weftmesh.board.v1 import board_pb2
from weftmesh.client import connect
from weftmesh.runtime.clock import wall_us

READY: Final = "ready\n"
PROGRESS_S: Final = 0.5
"""The last event may come before stdin says that it is the last: the next sign of life ends the watch."""
CATCH_UP_S: Final = 30.0
"""How long the last events may take once everything was written."""

Arrivals = list[tuple[int, int, int]]


async def note_arrivals(socket: str, parent: str, resume_revision: int) -> Arrivals:
    """What arrived up to the revision that stdin names: (revision, receipt_us, commit_us)."""
    arrivals: Arrivals = []
    async with (
        connect(socket) as client,
        aclosing(client.watch(parent, resume_revision, progress_s=PROGRESS_S)) as events,
    ):
        last_revision = asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))
        watching = asyncio.create_task(_note(events, arrivals, last_revision))
        await last_revision
        try:
            await asyncio.wait_for(watching, CATCH_UP_S)
        except TimeoutError:
            sys.stderr.write(f"the watch did not come to revision {last_revision.result().strip()}\n")
    return arrivals


async def _note(
    events: AsyncGenerator[board_pb2.WatchEvent, None], arrivals: Arrivals, last_revision: asyncio.Future[str]
) -> None:
    async for event in events:
        if event.WhichOneof("event") == "task":
            commit_us = event.commit_time.ToMicroseconds() if event.HasField("commit_time") else 0
            arrivals.append((event.revision, wall_us(), commit_us))
            if len(arrivals) == 1:
                sys.stdout.write(READY)
                sys.stdout.flush()
        if last_revision.done() and event.revision >= int(last_revision.result()):
            return


def main() -> None:
    """Measure, then print."""
    socket, parent, resume_revision = sys.argv[1:]
    arrivals = uvloop.run(note_arrivals(socket, parent, int(resume_revision)))
    sys.stdout.write("".join(f"{revision} {receipt_us} {commit_us}\n" for revision, receipt_us, commit_us in arrivals))


if __name__ == "__main__":
    main()
