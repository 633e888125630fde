"""Run as `make bench-resolve`; writes build/bench/resolve.json. About a minute on two cores."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import uvloop

from benchmarks import report
from benchmarks.report import Row
from benchmarks.resolve import computing, serving
from weftmesh.cli.dev_mesh import dev_mesh
from weftmesh.client.routing import connect_router


async def measured(directory: Path) -> list[Row]:
    """What takes real processes."""
    async with (
        dev_mesh(directory / "mesh", 3, routers=True) as mesh,
        serving.routers_of(mesh) as routers,
        mesh.first.client() as client,
        serving.router_beside(mesh.first, directory) as (pid, socket),
        connect_router(str(socket)) as router,
    ):
        return [
            *await serving.resolve_rows(client, router, socket),
            *await serving.freeze_rows(client, routers),
            *await serving.failure_rows(client, router),
            *await serving.size_rows(client, router, pid),
        ]


def main() -> None:
    """Measure, print and write."""
    machine = report.machine()
    rows = computing.rows()
    with (
        tempfile.TemporaryDirectory(prefix="weftmesh-") as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        rows += runner.run(measured(Path(directory)))
    for row in rows:
        peer = f"   ({row.peer}: {row.peer_value:,.1f})" if row.peer and row.peer_value is not None else ""
        print(f"{row.row:45} {row.metric:40} {row.value:10,.3f} {row.unit}{peer}")
    print(report.write("resolve", rows, machine))


if __name__ == "__main__":
    main()
