"""weftmesh beside a real etcd: three nodes each, one machine, mutual TLS on every connection, fsync on.

Run as `make bench-etcd` or `python -m benchmarks.etcd [--rounds 5] [--rows raw,client,...] [--quick]`; writes
build/bench/etcd.json. It needs Debian's etcd-server, nghttp2-client and haproxy.

What is compared: a write carries 256 bytes. Creates make a new task here and put a new key there; updates change one of
64 tasks here and put one of 64 keys there, a new value each time. The raw row repeats one request: here it is a new
task each time, there the same key gets a new revision, which is the lesser work. A task also keeps its history, its
author and a request id that makes a retry safe: etcd's client would have to add them. Writes enter at the leader,
watchers watch another node. Batches are one etcd transaction, which is all or nothing, and one message of writes here,
each of which stands alone. Commit to watcher is from the writer's answer to the event, 0 when the event was first.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from benchmarks import report
from benchmarks.etcd import rows, table
from benchmarks.etcd.processes import BenchmarkError, program
from benchmarks.etcd.race import Result, race
from benchmarks.etcd.rows import Group
from benchmarks.etcd.systems import check_disk

ROUNDS = 5
DURATION_S = 3.0


def main() -> None:
    """Measure, print and write the result."""
    options = _options()
    groups = rows.quick() if options.quick else _chosen(rows.full(options.duration), options.rows)
    options.directory.mkdir(parents=True, exist_ok=True)
    try:
        for name, package in (("etcd", "etcd-server"), ("h2load", "nghttp2-client"), ("haproxy", "haproxy")):
            program(name, package)
        disk = check_disk(options.directory)
        machine = report.machine()
        results = uvloop.run(_run(groups, 1 if options.quick else options.rounds, options.directory))
    except BenchmarkError as error:
        sys.exit(f"benchmark: {error}")
    except asyncio.CancelledError:
        sys.exit("benchmark: interrupted; everything is stopped")
    written = report.write("etcd", [row for result in results for row in result.rows()], machine | {"disk": disk})
    sys.stdout.write(f"\n{table.table(results, machine, disk)}\n\nwritten: {written}\n")


async def _run(groups: Sequence[Group], rounds: int, directory: Path) -> list[Result]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101, this is a coroutine
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return list((await race(groups, rounds, directory, _print)).values())


def _print(row: str, system: str, figures: rows.Figures) -> None:
    sys.stdout.write(table.progress(row, system, figures) + "\n")
    sys.stdout.flush()


def _chosen(groups: list[Group], names: str) -> list[Group]:
    wanted = names.split(",") if names else [group.name for group in groups]
    if unknown := set(wanted) - {group.name for group in groups}:
        sys.exit(f"no rows are called {', '.join(sorted(unknown))}; there are {', '.join(g.name for g in groups)}")
    return [group for group in groups if group.name in wanted]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.etcd", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--rows", default="", help="raw,client,watch,memory,recovery; all of them if not given")
    parser.add_argument("--duration", type=float, default=DURATION_S, help="seconds a measurement")
    parser.add_argument("--quick", action="store_true", help="one short round, less than a minute; not to be quoted")
    parser.add_argument("--directory", type=Path, default=report.DIRECTORY, help="for data; not in memory")
    return parser.parse_args()


if __name__ == "__main__":
    main()
