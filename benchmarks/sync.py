"""Commit and sync latency of a mesh of three nodes on this machine; writes build/bench/sync.json.

Run as `make bench-sync` or `python -m benchmarks.sync [--duration S] [--clients 1,16,64] [--nodes 3]`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import uvloop

from benchmarks import report
from benchmarks.report import Row
from weftmesh.cli.dev_mesh import dev_mesh
from weftmesh.cli.sync_bench import CLIENTS, DURATION_S, PAYLOAD_BYTES, SHAPES, SyncPlan, SyncResult, measure_sync


def rows_of(result: SyncResult) -> list[Row]:
    """One figure a row; no peer is measured in this run."""
    name = f"{result.shape}, {result.clients} in flight, {result.nodes} nodes, {result.payload_bytes} B"
    name += ", fsync" if result.fsync else ", no fsync"
    figures = [
        ("commit_p50", result.commit_ms.p50, "ms"),
        ("commit_p99", result.commit_ms.p99, "ms"),
        ("sync_p50", result.sync_ms.p50, "ms"),
        ("sync_p99", result.sync_ms.p99, "ms"),
        ("rate", result.rate_per_s, "1/s"),
    ]
    return [Row(name, metric, value, unit) for metric, value, unit in figures]


async def measure(nodes: int, plan: SyncPlan) -> list[SyncResult]:
    """Start a mesh, measure it, remove it."""
    with tempfile.TemporaryDirectory(prefix="weftmesh-", ignore_cleanup_errors=True) as directory:
        async with dev_mesh(Path(directory), nodes) as mesh:
            return await measure_sync(mesh, plan, _print_row)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=DURATION_S, help="seconds a row")
    parser.add_argument("--clients", default=",".join(map(str, CLIENTS)), help="writes in flight")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--payload-bytes", type=int, default=PAYLOAD_BYTES)
    parser.add_argument("--nodes", type=int, default=3)
    options = parser.parse_args()
    clients = [int(word) for word in options.clients.split(",")]
    plan = SyncPlan(options.shapes.split(","), clients, options.duration, options.payload_bytes)
    measured_on = report.machine()
    results = uvloop.run(measure(options.nodes, plan))
    written = report.write("sync", [row for result in results for row in rows_of(result)], measured_on)
    sys.stdout.write(f"written: {written}\n")


def _print_row(result: SyncResult) -> None:
    commit, sync = result.commit_ms, result.sync_ms
    sys.stdout.write(
        f"{result.shape:6} {result.clients:4} in flight  commit p50 {commit.p50:8.2f} p99 {commit.p99:8.2f} ms  "
        f"sync p50 {sync.p50:6.2f} p99 {sync.p99:6.2f} ms  {result.rate_per_s:8,.0f} writes/s\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
