"""Writes to one node, in a process of its own.

Usage: python -m benchmarks.etcd.generator ENDPOINT LOAD, both JSON; prints `ready` once it is connected, and at the end
the writes as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Final, Self

import grpc
import uvloop

from benchmarks.etcd.processes import BenchmarkError, output_of
from benchmarks.etcd.stores import Endpoint, Store, monotonic_us, open_store
from weftmesh.core.errors import WeftmeshError

WARM_UP_S: Final = 0.5
FINISH_TIMEOUT_S: Final = 60.0
"""What a generator may take beyond its load: to start, to connect, and for the last answers."""
READY: Final = "ready\n"
OUTSTANDING_MAX: Final = 4_096

Write = tuple[int, int, int]
"""(revision, begun_us, answered_us); begun is when it was due, for paced writes."""
Call = Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Load:
    """What to write; travels as JSON on a command line.

    Attributes:
        call: create, create_streamed, update or batch.
        callers: how many write at a time, one after another each.
        duration_s: how long, after the warm-up.
        rate_per_s: paced instead: so many writes are begun a second, whether earlier ones are answered or not.
        count: instead of a duration: so many calls.
        batch: entries a call, for `batch`.
        failures: whether failed writes are left out rather than end it all.
    """

    call: str = "create"
    callers: int = 1
    duration_s: float = 3.0
    warm_up_s: float = WARM_UP_S
    rate_per_s: float = 0.0
    count: int = 0
    batch: int = 64
    failures: bool = False

    def to_json(self) -> str:
        """For `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def command(endpoint: Endpoint, load: Load) -> list[str]:
    """How to start a generator."""
    return [sys.executable, "-m", "benchmarks.etcd.generator", endpoint.to_json(), load.to_json()]


async def generated(endpoint: Endpoint, load: Load, timeout_s: float = FINISH_TIMEOUT_S) -> list[Write]:
    """The writes of a generator in its own process, those of the warm-up left out.

    Raises:
        BenchmarkError: it failed.
    """
    printed = await output_of(command(endpoint, load), load.warm_up_s + load.duration_s + timeout_s)
    return parse(printed)


def parse(printed: str) -> list[Write]:
    """What a generator printed, with or without its first line.

    Raises:
        BenchmarkError: not a single write.
    """
    writes = [
        (revision, begun_us, answered_us) for revision, begun_us, answered_us in json.loads(printed.removeprefix(READY))
    ]
    if not writes:
        raise BenchmarkError("not one write was answered while it was measured; measure for longer")
    return writes


async def generate(store: Store, load: Load) -> list[Write]:
    """Write as `load` says; the writes begun after the warm-up."""
    call = _call_of(store, load)
    if load.rate_per_s:
        return await _paced(call, load)
    if load.count:
        return await _counted(call, load)
    return await _closed(call, load)


def _call_of(store: Store, load: Load) -> Call:
    calls: dict[str, Call] = {
        "create": store.create,
        "create_streamed": store.create_streamed,
        "update": store.update,
        "batch": lambda: store.create_batch(load.batch),
    }
    return calls[load.call]


async def _closed(call: Call, load: Load) -> list[Write]:
    writes: list[Write] = []
    from_us = monotonic_us() + round(load.warm_up_s * 1e6)
    until_us = from_us + round(load.duration_s * 1e6)

    async def caller() -> None:
        while (begun_us := monotonic_us()) < until_us:
            revision = await call()
            if begun_us >= from_us:
                writes.append((revision, begun_us, monotonic_us()))

    async with asyncio.TaskGroup() as group:
        for _ in range(load.callers):
            group.create_task(caller())
    return writes


async def _counted(call: Call, load: Load) -> list[Write]:
    writes: list[Write] = []
    numbers = iter(range(load.count))

    async def caller() -> None:
        for _ in numbers:
            begun_us = monotonic_us()
            writes.append((await call(), begun_us, monotonic_us()))

    async with asyncio.TaskGroup() as group:
        for _ in range(load.callers):
            group.create_task(caller())
    return writes


async def _paced(call: Call, load: Load) -> list[Write]:
    """Writes begun at their due times.

    Raises:
        BenchmarkError: so many wait that the system cannot keep up with the rate.
    """
    writes: list[Write] = []
    outstanding: set[asyncio.Task[None]] = set()
    begun_us = monotonic_us()
    from_us = begun_us + round(load.warm_up_s * 1e6)

    async def write(due_us: int) -> None:
        try:
            revision = await call()
        except (WeftmeshError, grpc.aio.AioRpcError):
            if not load.failures:
                raise
            return
        if due_us >= from_us:
            writes.append((revision, due_us, monotonic_us()))

    for number in range(round(load.rate_per_s * (load.warm_up_s + load.duration_s))):
        due_us = begun_us + round(number / load.rate_per_s * 1e6)
        if (left_us := due_us - monotonic_us()) > 0:
            await asyncio.sleep(left_us / 1e6)
        if len(outstanding) >= OUTSTANDING_MAX:
            raise BenchmarkError(f"{OUTSTANDING_MAX} writes wait: {load.rate_per_s:g} writes/s are too many here")
        task = asyncio.create_task(write(due_us))
        outstanding.add(task)
        task.add_done_callback(outstanding.discard)
    await _finish(outstanding, load)
    return writes


async def _finish(outstanding: set[asyncio.Task[None]], load: Load) -> None:
    """Wait for the last answers; where failures are allowed, not for long."""
    if not outstanding:
        return
    done, pending = await asyncio.wait(set(outstanding), timeout=0.5 if load.failures else None)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


async def _main(endpoint: Endpoint, load: Load) -> list[Write]:
    async with open_store(endpoint) as store:
        sys.stdout.write(READY)
        sys.stdout.flush()
        return await generate(store, load)


def main() -> None:
    """Write, then print."""
    writes = uvloop.run(_main(Endpoint.from_json(sys.argv[1]), Load.from_json(sys.argv[2])))
    json.dump(writes, sys.stdout)


if __name__ == "__main__":
    main()
