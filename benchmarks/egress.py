"""The egress ledger: how fast it records, and what a report and a verification of a long one cost.

`python -m benchmarks.egress [--records N] [--seconds S] [--directory D]` works on the disk under D (by default the
system's place for temporary files) and writes build/bench/egress.json.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.report import Row, machine, write
from weftmesh.agent.chain.checking import Verification
from weftmesh.agent.chain.slicing import slices
from weftmesh.agent.privacy.ledger import EGRESS, EgressLedger
from weftmesh.agent.privacy.tallying import Tally
from weftmesh.agent.raft.log.disk import SystemDisk
from weftmesh.cli.dev_mesh import dev_mesh
from weftmesh.core.privacy.egress import Egress, EgressClass
from weftmesh.core.privacy.totals import EgressQuery
from weftmesh.privacy.v1 import privacy_pb2

IN_FLIGHT: Final = (1, 16, 64, 256)
SOCKET_IN_FLIGHT: Final = (1, 64)
FILL_IN_FLIGHT: Final = 1_024
PEERS: Final = 16
TICK_S: Final = 0.001
MEMORY_TICKS: Final = 20
IDLE_S: Final = 5.0
MIB: Final = 1024 * 1024
PAYLOAD: Final = b"x" * 65_536
EGRESSES: Final = [
    Egress(
        EgressClass.LEARNING, f"node{n}", len(PAYLOAD), hashlib.sha256(PAYLOAD).digest(), "effort round, masked input"
    )
    for n in range(PEERS)
]


class _Watch:
    """How late a timer of one millisecond is, and how much memory the process has, while something else works."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self.peak_bytes = self.before_bytes = resident_bytes()

    async def run(self) -> None:
        last_s = time.perf_counter()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.perf_counter()
            self.late_ms.append(max(0.0, now_s - last_s - TICK_S) * 1000)
            if len(self.late_ms) % MEMORY_TICKS == 0:
                self.peak_bytes = max(self.peak_bytes, resident_bytes())
            last_s = now_s

    def rows(self, name: str) -> Iterator[Row]:
        """How long something held the loop."""
        late_ms = sorted(self.late_ms)
        yield Row(name, "loop held, p99", round(late_ms[len(late_ms) * 99 // 100], 1), "ms")
        yield Row(name, "loop held, longest", round(late_ms[-1], 1), "ms")


def resident_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@asynccontextmanager
async def watching() -> AsyncIterator[_Watch]:
    """Watch for as long as the block runs."""
    watch = _Watch()
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()


async def rate_per_s(record: Callable[[int], Awaitable[Any]], in_flight: int, seconds: float) -> float:
    """Records a second by so many senders, each of which waits for its answer."""
    count = 0
    until_s = time.perf_counter() + seconds

    async def send(number: int) -> None:
        nonlocal count
        while time.perf_counter() < until_s:
            await record(number)
            count += 1

    started_s = time.perf_counter()
    await asyncio.gather(*(send(number) for number in range(in_flight)))
    return count / (time.perf_counter() - started_s)


async def recording(directory: Path, seconds: float) -> AsyncIterator[Row]:
    """In this process, with every record on disk before its sender goes on."""
    ledger = EgressLedger.open(directory, SystemDisk())
    for in_flight in IN_FLIGHT:
        rate = await rate_per_s(lambda number: ledger.record(EGRESSES[number % PEERS]), in_flight, seconds)
        yield Row(f"recording, {in_flight} in flight", "rate", round(rate), "records/s")
    await ledger.close()


async def recording_over_the_socket(directory: Path, seconds: float) -> AsyncIterator[Row]:
    """Through the client library and the local socket of a real node."""
    async with dev_mesh(directory, 1) as mesh, mesh.first.client() as client:
        one = EGRESSES[0]
        request = privacy_pb2.RecordEgressRequest(
            egress_class=privacy_pb2.EGRESS_CLASS_LEARNING,
            peer=one.peer,
            size_bytes=one.size_bytes,
            sha256=one.sha256,
            why=one.why,
        )
        for in_flight in SOCKET_IN_FLIGHT:
            rate = await rate_per_s(lambda _: client.privacy.record_egress(request), in_flight, seconds)
            yield Row(f"recording over the socket, {in_flight} in flight", "rate", round(rate), "records/s")


async def long_ledger(directory: Path, records: int) -> AsyncIterator[Row]:
    """A ledger of so many records: filled, started again, reported and verified."""
    ledger = EgressLedger.open(directory, SystemDisk(fsync=False))
    started_s = time.perf_counter()
    for first in range(0, records, FILL_IN_FLIGHT):
        batch = range(first, min(first + FILL_IN_FLIGHT, records))
        await asyncio.gather(*(ledger.record(EGRESSES[number % PEERS]) for number in batch))
    what = f"{records} records"
    yield Row(what, "written, unsynced", round(records / (time.perf_counter() - started_s)), "records/s")
    size_bytes = sum(part.size_bytes for part in (await ledger.snapshot()).parts)
    yield Row(what, "size", round(size_bytes / MIB, 1), "MiB")
    await ledger.close()

    started_s = time.process_time()
    ledger = EgressLedger.open(directory, SystemDisk(fsync=False))
    yield Row(what, "start, processor time", round((time.process_time() - started_s) * 1000), "ms")

    tally = Tally(EgressQuery())
    async for row in read(f"{what}, report", tally.run((await ledger.snapshot()).parts)):
        yield row
    if sum(row.payloads for row in tally.totals.rows.values()) != records:
        raise RuntimeError("the report does not count what was recorded")
    verification = Verification(EGRESS, await ledger.snapshot(), ledger.head)
    async for row in read(f"{what}, verify", verification.run()):
        yield row
    if not (verification.passed and verification.anchor_found and verification.records == records):
        raise RuntimeError(f"the ledger does not verify: {verification.findings}")
    await ledger.close()


async def read(name: str, items: Iterator[object]) -> AsyncIterator[Row]:
    """Draw everything from `items` as the service does."""
    async with watching() as watch:
        started_s, processor_s = time.perf_counter(), time.process_time()
        async for _ in slices(items):
            pass
        yield Row(name, "time", round(time.perf_counter() - started_s, 2), "s")
        yield Row(name, "processor time", round(time.process_time() - processor_s, 2), "s")
    for row in watch.rows(name):
        yield row
    yield Row(name, "memory on top", round((watch.peak_bytes - watch.before_bytes) / MIB, 1), "MiB")


async def idle() -> AsyncIterator[Row]:
    """What this machine does to a loop that has nothing to do; beside the rows of `read`."""
    async with watching() as watch:
        await asyncio.sleep(IDLE_S)
    for row in watch.rows("nothing to do"):
        yield row


async def measure(directory: Path, records: int, seconds: float) -> list[Row]:
    """Everything, printed as it comes."""
    rows = []
    parts = (
        recording(directory / "recording", seconds),
        recording_over_the_socket(directory / "mesh", seconds),
        idle(),
        long_ledger(directory / "long", records),
    )
    for part in parts:
        async for row in part:
            rows.append(row)
            print(f"{row.row:<44} {row.metric:<20} {row.value:>12,} {row.unit}", flush=True)
    return rows


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each row of recording")
    parser.add_argument("--directory", type=Path, default=None)
    options = parser.parse_args()
    measured_on = machine()
    with tempfile.TemporaryDirectory(prefix="egress-", dir=options.directory) as directory:
        rows = uvloop.run(measure(Path(directory), options.records, options.seconds))
    print(write("egress", rows, measured_on))


if __name__ == "__main__":
    main()
