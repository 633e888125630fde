"""The rows of the race: what is done to one running system, and what is measured of it."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.etcd import generator, h2load
from benchmarks.etcd.generator import Load, generated
from benchmarks.etcd.processes import BenchmarkError, finished, running, said
from benchmarks.etcd.resources import processor_us, resident_mib
from benchmarks.etcd.stores import Endpoint, monotonic_us, open_store
from benchmarks.etcd.systems import Field
from benchmarks.etcd.watcher import delays_us, until_answered, watching

BATCH: Final = 64
FILL_CALLERS: Final = 4
FILL_TIMEOUT_S: Final = 600.0
KILL_AFTER_S: Final = 1.0
PROBES_PER_S: Final = 50
RECOVERY_S: Final = 10.0
"""How long writes are tried around a kill."""
WATCH_RATE_PER_S: Final = 1_000

Figures = Mapping[str, float]
"""By metric; its unit is in UNITS."""
UNITS: Final = {
    "p50": "ms",
    "p99": "ms",
    "rate": "1/s",
    "processor_per_write": "us",
    "commit_to_watcher_p50": "ms",
    "commit_to_watcher_p99": "ms",
    "begin_to_watcher_p50": "ms",
    "begin_to_watcher_p99": "ms",
    "rss": "MiB",
    "rss_anonymous": "MiB",
    "fill_rate": "1/s",
    "recovery_median": "ms",
    "recovery_max": "ms",
}


@dataclass(frozen=True, slots=True)
class RaceRow:
    """One row.

    Attributes:
        name: as reports have it.
        measure: does it to a running system, once.
    """

    name: str
    measure: Callable[[Field], Awaitable[Figures]]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are measured one after another on one start of a system.

    Attributes:
        name: for --rows.
        rounds_max: a row that is its own repetition needs one round.
    """

    name: str
    rows: Sequence[RaceRow]
    rounds_max: int | None = None


def raw(in_flight: int, duration_s: float) -> RaceRow:
    """Unary calls by h2load."""

    async def measure(field: Field) -> Figures:
        write = field.system.raw_write
        before_us = processor_us(field.system.pids().values())
        answers = await h2load.repeat(field.entry, write, in_flight, duration_s, field.directory)
        used_us = processor_us(field.system.pids().values()) - before_us
        figures = {**_quantiles_ms(answers.took_us), "rate": answers.rate_per_s}
        return {**figures, "processor_per_write": used_us / answers.written}

    return RaceRow(f"raw unary, {in_flight} in flight", measure)


def client(callers: int, duration_s: float, *, streamed: bool = False) -> RaceRow:
    """Writes through each system's client library: its typed call, or its fastest one for many at a time."""
    load = Load("create_streamed" if streamed else "create", callers, duration_s)

    async def measure(field: Field) -> Figures:
        return await _closed(field, load)

    return RaceRow(f"client library{', stream' * streamed}, {callers} caller{'s' * (callers > 1)}", measure)


def batches(duration_s: float) -> RaceRow:
    """Batches of 64 by one caller: etcd's transaction, our stream."""
    load = Load("batch", 1, duration_s, batch=BATCH)

    async def measure(field: Field) -> Figures:
        figures = await _closed(field, load)
        return {**figures, "rate": figures["rate"] * BATCH}

    return RaceRow(f"batches of {BATCH}", measure)


def watch(load: Load, name: str) -> RaceRow:
    """Updates at the leader, seen by a watcher at another node."""

    async def measure(field: Field) -> Figures:
        async with watching(field.other) as watcher:
            writes = await generated(field.entry, load)
            arrivals = await watcher.arrivals(max(revision for revision, _, _ in writes))
        commit = _quantiles_ms(delays_us(until_answered(writes), arrivals))
        begin = _quantiles_ms(delays_us([(revision, begun_us) for revision, begun_us, _ in writes], arrivals))
        figures = {f"commit_to_watcher_{quantile}": value for quantile, value in commit.items()}
        return figures | {f"begin_to_watcher_{quantile}": value for quantile, value in begin.items()}

    return RaceRow(f"watch, {name}", measure)


def memory(entries: int) -> RaceRow:
    """The largest node's memory with many entries."""

    async def measure(field: Field) -> Figures:
        load = Load("batch", FILL_CALLERS, warm_up_s=0.0, count=-(-entries // BATCH), batch=BATCH)
        writes = await generated(field.entry, load, FILL_TIMEOUT_S)
        took_us = max(answered_us for _, _, answered_us in writes) - min(begun_us for _, begun_us, _ in writes)
        await _check_entries(field.other, entries)
        await asyncio.sleep(1.0)  # for what the last writes left to collect
        sizes = [resident_mib(pid) for pid in field.system.pids().values()]
        return {
            "rss": max(total for total, _ in sizes),
            "rss_anonymous": max(anonymous for _, anonymous in sizes),
            "fill_rate": len(writes) * BATCH / took_us * 1e6,
        }

    return RaceRow(f"memory, {_thousands(entries)} entries", measure)


def recovery(kills: int) -> RaceRow:
    """From SIGKILL of the leader to the first answer to a write that was begun after it."""

    async def measure(field: Field) -> Figures:
        took_ms = [await _recovery_ms(field) for _ in range(kills)]
        return {"recovery_median": statistics.median(took_ms), "recovery_max": max(took_ms)}

    return RaceRow("recovery after SIGKILL", measure)


async def _recovery_ms(field: Field) -> float:
    system = field.system
    leader = await system.leader()
    entry = system.endpoint(next(node for node in system.pids() if node != leader))
    # A write begun now and then, each on its own: no retry of a library decides when the answer comes.
    load = Load("create", warm_up_s=0.0, duration_s=RECOVERY_S, rate_per_s=PROBES_PER_S, failures=True)
    with running(generator.command(entry, load), stdout=subprocess.PIPE) as process:
        await said(process, generator.READY)
        await asyncio.sleep(KILL_AFTER_S)
        killed_us = monotonic_us()
        await system.kill(leader)
        writes = generator.parse(await finished(process, RECOVERY_S + generator.FINISH_TIMEOUT_S))
    answered_us = [answered for _, begun, answered in writes if begun >= killed_us]
    if not answered_us:
        raise BenchmarkError(
            f"{system.name} answered none of the writes in {RECOVERY_S - KILL_AFTER_S:g} s after a kill"
        )
    await system.restart(leader)
    return (min(answered_us) - killed_us) / 1_000


async def _check_entries(endpoint: Endpoint, least: int) -> None:
    async with open_store(endpoint) as store:
        if (found := await store.entries()) < least:
            raise BenchmarkError(f"{endpoint.system} holds {found} entries after {least} were written")


async def _closed(field: Field, load: Load) -> dict[str, float]:
    """Quantiles and rate of the calls, and the nodes' processor time for each entry that they made."""
    async with open_store(field.entry) as store:
        entries, used_us = await store.entries(), processor_us(field.system.pids().values())
        writes = await generated(field.entry, load)
        used_us = processor_us(field.system.pids().values()) - used_us
        entries = await store.entries() - entries
    took_us = [answered_us - begun_us for _, begun_us, answered_us in writes]
    rate = len(writes) / load.duration_s
    return {**_quantiles_ms(took_us), "rate": rate, "processor_per_write": used_us / entries}


def _quantiles_ms(values_us: Sequence[int]) -> dict[str, float]:
    """Nearest rank."""
    ranked = sorted(values_us)
    shares = {"p50": 0.5, "p99": 0.99}
    return {name: ranked[min(int(len(ranked) * share), len(ranked) - 1)] / 1_000 for name, share in shares.items()}


def _thousands(count: int) -> str:
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


def full(duration_s: float) -> list[Group]:
    """Every row."""
    return [
        Group("raw", [raw(number, duration_s) for number in (1, 16, 64, 256)]),
        Group(
            "client",
            [
                *(client(number, duration_s) for number in (1, 16, 64)),
                *(client(number, duration_s, streamed=True) for number in (1, 16, 64)),
                batches(duration_s),
            ],
        ),
        Group(
            "watch",
            [
                watch(Load("update", 1, duration_s), "1 write at a time"),
                watch(Load("update", duration_s=duration_s, rate_per_s=WATCH_RATE_PER_S), "1000 writes/s"),
            ],
        ),
        Group("memory", [memory(100_000)], rounds_max=1),
        Group("recovery", [recovery(5)], rounds_max=1),
    ]


def quick() -> list[Group]:
    """The main rows in less than a minute; too short to quote."""
    return [
        Group(
            "all",
            [
                raw(1, 1),
                raw(64, 1),
                client(1, 0.5),
                client(64, 0.5),
                batches(0.5),
                watch(Load("update", 1, 0.5), "1 write at a time"),
                memory(2_000),
            ],
        )
    ]
