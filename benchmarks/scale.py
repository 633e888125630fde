"""A mesh of three nodes with many tasks: memory, the first page of a listing, and a restart to the first local read.

Run as `make bench-scale` or `python -m benchmarks.scale [--tasks N]`. Tasks are about 800 bytes, made of the texts of
examples/board-excerpt.csv.gz; writes build/bench/scale.json.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gzip
import itertools
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import uvloop

from benchmarks import pauses, report
from benchmarks.report import Row
from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.client import Client
from weftmesh.core.errors import NodeUnreachableError, WeftmeshError

EXCERPT: Final = Path(__file__).resolve().parents[1] / "examples" / "board-excerpt.csv.gz"
TASKS: Final = 100_000
DESCRIPTION_CHARACTERS: Final = 640
"""The mean of the export; with title, labels and six custom fields a task has about 800 bytes."""
PROJECTS: Final = ("ALPHA", "BETA", "GAMMA", "DELTA")
CHUNK: Final = 4_000
LISTINGS: Final = 50


def tasks() -> Iterator[board_pb2.Task]:
    """Tasks for ever, of real words."""
    with gzip.open(EXCERPT, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    words = " ".join(row["Description"] for row in rows)
    for number in itertools.count():
        row = rows[number % len(rows)]
        start = number * 613 % (len(words) - DESCRIPTION_CHARACTERS)
        yield board_pb2.Task(
            title=f"{row['Summary'][:60]} {number}",
            description=words[start : start + DESCRIPTION_CHARACTERS],
            status=board_pb2.TASK_STATUS_DONE if number % 3 else board_pb2.TASK_STATUS_TODO,
            labels=[row["Issue Type"].lower().replace(" ", "-")],
            estimate=float(number % 13),
            custom={
                "type": row["Issue Type"],
                "status": row["Status"],
                "resolution": row["Resolution"],
                "created": row["Created"],
                "resolved": row["Resolved"],
                "minutes": row["Resolution Minutes"],
            },
        )


async def fill(client: Client, count: int) -> float:
    """Write `count` tasks; the rate per second."""
    for project in PROJECTS:
        request = board_pb2.CreateProjectRequest(project_id=project, project=board_pb2.Project(title=project))
        await client.board.create_project(request)
    source = zip(itertools.cycle(PROJECTS), tasks(), strict=False)
    begun = time.monotonic()
    for _ in range(0, count, CHUNK):
        chunk = list(itertools.islice(source, CHUNK))
        requests = [board_pb2.CreateTaskRequest(parent=f"projects/{parent}", task=task) for parent, task in chunk]
        answers = await client.write_many(requests, timeout_s=120)
        for answer in answers:
            if isinstance(answer, WeftmeshError):
                raise answer
    return count / (time.monotonic() - begun)


async def first_page_ms(client: Client, filter_: str) -> float:
    """The median time of a listing's first page."""
    request = board_pb2.ListTasksRequest(parent="projects/-", page_size=100, filter=filter_)
    took = []
    for _ in range(LISTINGS):
        begun = time.perf_counter()
        await client.board.list_tasks(request)
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)


async def restart_s(mesh: DevMesh, name: str) -> float:
    """Seconds from the start of a node's process to its first answered read."""
    await mesh.kill(name, signal.SIGTERM)
    node = mesh.node(name)
    begun = time.monotonic()
    node.start()
    mesh.save()
    while True:
        try:
            async with node.client(timeout_s=1.0) as client:
                page = await client.board.list_tasks(board_pb2.ListTasksRequest(parent="projects/ALPHA", page_size=10))
                if page.tasks:
                    return time.monotonic() - begun
        except NodeUnreachableError:
            pass
        await asyncio.sleep(0.02)


async def measure(mesh: DevMesh, count: int) -> list[Row]:
    """Fill the mesh and look at it."""
    name = f"{count:,} tasks, 3 nodes"
    leader = await mesh.settled()
    other = next(node for node in mesh.nodes if node != leader)
    async with mesh.node(other).client() as client:
        rows = [Row(name, "fill_rate", round(await fill(client, count)), "1/s")]
    await asyncio.sleep(10)  # for a snapshot under way
    async with mesh.node(leader).client() as client:
        status = await client.mesh.get_status()
        rows.append(Row(name, "leader_rss", round(status.rss_bytes / 2**20, 1), "MiB"))
        rows.append(Row(name, "first_page_p50", round(await first_page_ms(client, ""), 2), "ms"))
        rows.append(Row(name, "first_page_filtered_p50", round(await first_page_ms(client, "status=todo"), 2), "ms"))
    rows.append(Row(name, "restart_to_first_read", round(await restart_s(mesh, other), 2), "s"))
    await mesh.settled()
    async with mesh.node(other).client() as client:
        rows.append(Row(name, "restarted_rss", round((await client.mesh.get_status()).rss_bytes / 2**20, 1), "MiB"))
    await mesh.kill(other, signal.SIGTERM)  # in order, so that all tasks are in a snapshot
    rows += await pauses.measure(mesh.node(other).directory / "data" / "mesh" / "snapshots", name)
    return rows


async def run(count: int) -> list[Row]:
    """Start a mesh, measure it, remove it."""
    with tempfile.TemporaryDirectory(prefix="weftmesh-", ignore_cleanup_errors=True) as directory:
        async with dev_mesh(Path(directory), 3) as mesh:
            return await measure(mesh, count)


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tasks", type=int, default=TASKS)
    measured_on = report.machine()
    rows = uvloop.run(run(parser.parse_args().tasks))
    for row in rows:
        print(f"{row.row:<28} {row.metric:<28} {row.value:>12,} {row.unit}")
    print(report.write("scale", rows, measured_on))


if __name__ == "__main__":
    main()
