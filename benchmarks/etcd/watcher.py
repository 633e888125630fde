"""Watches one node, in a process of its own.

Usage: python -m benchmarks.etcd.watcher ENDPOINT. It prints `ready` when the watch is in place. Whoever started it then
writes the last revision to wait for to its stdin, and gets [[revision, seen_us], ...] as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from bisect import bisect_left
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

import uvloop

from benchmarks.etcd.generator import READY, Write
from benchmarks.etcd.processes import START_TIMEOUT_S, BenchmarkError, finished, running, said
from benchmarks.etcd.stores import Endpoint, monotonic_us, open_store

CATCH_UP_TIMEOUT_S: Final = 30.0
"""How long the last events may take once everything was written."""
POLL_S: Final = 0.01

Arrival = tuple[int, int]
"""(revision, seen_us), in the order of the revisions."""


class Watcher:
    """A watch in a process of its own, that is in place."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    async def arrivals(self, last_revision: int) -> list[Arrival]:
        """What came, once `last_revision` did.

        Raises:
            BenchmarkError: it did not come.
        """
        printed = await finished(self._process, CATCH_UP_TIMEOUT_S + START_TIMEOUT_S, f"{last_revision}\n")
        return [(revision, seen_us) for revision, seen_us in json.loads(printed)]


@asynccontextmanager
async def watching(endpoint: Endpoint) -> AsyncIterator[Watcher]:
    """A watch of the node for as long as the block runs.

    Raises:
        BenchmarkError: it could not be placed.
    """
    command = [sys.executable, "-m", "benchmarks.etcd.watcher", endpoint.to_json()]
    with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        await said(process, READY)
        yield Watcher(process)


def delays_us(moments: Sequence[tuple[int, int]], arrivals: Sequence[Arrival]) -> list[int]:
    """From each (revision, moment_us) until a watcher knew of that revision; never below 0.

    A watch is in order: the first event at or after a revision is the moment at which it was known, also where a slow
    watcher's events were folded into later ones.
    """
    revisions = [revision for revision, _ in arrivals]
    return [max(arrivals[bisect_left(revisions, revision)][1] - moment_us, 0) for revision, moment_us in moments]


def until_answered(writes: Sequence[Write]) -> list[tuple[int, int]]:
    """The revision of each write, and when its writer had the answer."""
    return [(revision, answered_us) for revision, _, answered_us in writes]


async def _note(revisions: AsyncGenerator[int, None], arrivals: list[Arrival]) -> None:
    ready = False
    async for revision in revisions:
        if revision:
            arrivals.append((revision, monotonic_us()))
        elif not ready:
            ready = True
            sys.stdout.write(READY)
            sys.stdout.flush()


async def _main(endpoint: Endpoint) -> list[Arrival]:
    arrivals: list[Arrival] = []
    async with open_store(endpoint) as store, aclosing(store.watch()) as revisions:
        noting = asyncio.create_task(_note(revisions, arrivals))
        asking = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
        await asyncio.wait((noting, asking), return_when=asyncio.FIRST_COMPLETED)
        if noting.done():
            noting.result()
            raise BenchmarkError("the watch ended by itself")
        last_revision = int(await asking)
        async with asyncio.timeout(CATCH_UP_TIMEOUT_S):
            while not arrivals or arrivals[-1][0] < last_revision:  # noqa: ASYNC110, once, at the end
                await asyncio.sleep(POLL_S)
        noting.cancel()
        await asyncio.gather(noting, return_exceptions=True)
    return arrivals


def main() -> None:
    """Watch, then print."""
    json.dump(uvloop.run(_main(Endpoint.from_json(sys.argv[1]))), sys.stdout)


if __name__ == "__main__":
    main()
