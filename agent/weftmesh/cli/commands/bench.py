"""`weftmesh bench`."""

from __future__ import annotations

import tempfile
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.cli.options import command
from weftmesh.cli.session import Session
from weftmesh.cli.sync_bench import (
    CLIENTS,
    CLIENTS_MAX,
    DURATION_S,
    PAYLOAD_BYTES,
    SHAPES,
    SyncPlan,
    SyncResult,
    measure_sync,
)
from weftmesh.cli.tables import Column

COLUMNS = (
    Column("SHAPE"),
    *(Column(title, right=True) for title in ("CLIENTS", "COMMIT p50", "p99 ms", "SYNC p50", "p99 ms", "WRITES/s")),
)


@click.group()
def bench() -> None:
    """Measure a mesh."""


def _numbers(_context: click.Context, _parameter: click.Parameter, text: str) -> list[int]:
    words = text.split(",")
    if not all(word.isdigit() and 1 <= int(word) <= CLIENTS_MAX for word in words):
        raise click.BadParameter(f"{text!r} is no list of numbers from 1 to {CLIENTS_MAX}; write 1,16,64")
    return [int(word) for word in words]


def _shapes(_context: click.Context, _parameter: click.Parameter, text: str) -> list[str]:
    words = text.split(",")
    if not set(words) <= set(SHAPES):
        raise click.BadParameter(f"{text!r}: shapes are {', '.join(SHAPES)}")
    return words


@command(bench, "sync")
@click.option("--duration", "duration_s", type=click.FloatRange(0.1, 600), default=DURATION_S, show_default=True)
@click.option(
    "--clients", callback=_numbers, default=",".join(map(str, CLIENTS)), show_default=True, help="Writes in flight."
)
@click.option("--shapes", callback=_shapes, default=",".join(SHAPES), show_default=True, help="How they are written.")
@click.option("--payload-bytes", type=click.IntRange(5, 60_000), default=PAYLOAD_BYTES, show_default=True)
@click.option("--nodes", type=click.IntRange(1, 15), default=3, show_default=True, help="Of the mesh that is started.")
@click.option("--no-fsync", is_flag=True, help="Start the mesh without waiting for the disk.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Measure this running `dev` mesh instead of starting one.",
)
async def sync(session: Session, nodes: int, no_fsync: bool, directory: Path | None, **plan_options: Any) -> None:
    """Measure commit latency, and the time until a watcher on another node has the write.

    Starts a mesh of its own in a temporary directory and removes it afterwards. Milliseconds; duration is in seconds
    for each row.
    """
    plan = SyncPlan(**plan_options)
    with tempfile.TemporaryDirectory(prefix="weftmesh-", ignore_cleanup_errors=True) as temporary:
        session.output.note("preparing the mesh …")
        async with _mesh(directory, Path(temporary), nodes, not no_fsync) as mesh:
            with session.output.progress("measuring") as bar:
                rows = await measure_sync(mesh, plan, _on_row(bar, len(plan.shapes) * len(plan.clients)))
    if session.output.as_json:
        session.output.json({"rows": [row.to_json() for row in rows]})
        return
    session.output.table(COLUMNS, [cells(row) for row in rows])
    fsync = "on" if rows[0].fsync else "OFF"
    session.output.note(f"{rows[0].nodes} nodes, {plan.payload_bytes} bytes a write, fsync {fsync}")


def _mesh(directory: Path | None, temporary: Path, nodes: int, fsync: bool) -> AbstractAsyncContextManager[DevMesh]:
    if directory is not None:
        return nullcontext(DevMesh.load(directory))
    return dev_mesh(temporary, nodes, fsync=fsync)


def _on_row(bar: Any, rows: int) -> Any:
    if bar is None:
        return lambda _: None
    task = bar.add_task("measuring", total=rows)
    return lambda _: bar.advance(task)


def cells(row: SyncResult) -> list[str]:
    """A row as the table shows it."""
    times = [row.commit_ms.p50, row.commit_ms.p99, row.sync_ms.p50, row.sync_ms.p99]
    return [row.shape, str(row.clients), *(f"{value:.2f}" for value in times), f"{row.rate_per_s:,.0f}"]
