"""A mesh of three nodes on this machine, with real tickets, writers everywhere and a killed leader.

    python examples/demo.py [--data EXPORT.csv[.gz]] [--writers N] [--seconds S]

Everything happens in a temporary directory and on loopback; no process and no file is left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh
from weftmesh.client import Client
from weftmesh.client.exchange.importer import run_import
from weftmesh.client.exchange.mappings import build_mapping
from weftmesh.client.exchange.sources import TableSource
from weftmesh.client.gateway import ClientGateway
from weftmesh.core.errors import ConflictError, WeftmeshError
from weftmesh.core.latency import HistogramRow, LatencyWindow

EXCERPT = Path(__file__).parent / "board-excerpt.csv.gz"
PROJECT = "projects/DEMO"
BAR_CHARACTERS = 40
FRESH = board_pb2.READ_CONSISTENCY_LINEARIZABLE
RESUME_TIMEOUT_S = 30.0
AGREE_TIMEOUT_S = 30.0

console = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line of the story."""
    console.print(text)


def heading(text: str) -> None:
    """Begin a chapter."""
    console.print(f"\n[bold]{text}[/bold]")


@dataclass
class Record:
    """What the writers were told, to be held against what the nodes have."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    """Task name to the highest counter that was acknowledged."""
    answered_at: list[tuple[float, str]] = field(default_factory=list)
    """When a write begun by then was acknowledged, and on which node."""
    commit: LatencyWindow = field(default_factory=LatencyWindow)
    sync: LatencyWindow = field(default_factory=LatencyWindow)
    unanswered: int = 0


def now_ms() -> int:
    """This machine's monotonic clock."""
    return time.monotonic_ns() // 1_000_000


async def writer(node: str, client: Client, record: Record, name: str) -> None:
    """Make a task and count it up, again and again, noting every acknowledgement."""
    for number in itertools.count(1):
        task = await write(
            node,
            client,
            record,
            board_pb2.CreateTaskRequest(parent=PROJECT, task=board_pb2.Task(title=f"{name}, task {number}")),
        )
        if task is None:
            continue
        record.acknowledged[task] = 0
        for count in range(1, 6):
            update = board_pb2.UpdateTaskRequest(task=board_pb2.Task(name=task, estimate=float(count)))
            update.update_mask.paths.append("estimate")
            if await write(node, client, record, update):
                record.acknowledged[task] = count


async def write(
    node: str, client: Client, record: Record, request: board_pb2.CreateTaskRequest | board_pb2.UpdateTaskRequest
) -> str | None:
    """One write; the name of its task once it is acknowledged, None if it never was."""
    begun = time.monotonic()
    try:
        applied = await client.write(request, timeout_s=10)
    except WeftmeshError:
        record.unanswered += 1
        await asyncio.sleep(0.2)
        return None
    record.commit.add(now_ms(), round((time.monotonic() - begun) * 1e6))
    record.answered_at.append((begun, node))
    return applied.name


async def watcher(client: Client, record: Record, watching: asyncio.Event) -> None:
    """Measure how long each commit takes to get here; `watching` is set once nothing from before is on its way."""
    async for event in client.watch(PROJECT, progress_s=0.2):
        if event.HasField("progress"):
            watching.set()
        if event.HasField("commit_time") and watching.is_set():
            record.sync.add(now_ms(), max(0, (time.time_ns() - event.commit_time.ToNanoseconds()) // 1000))


@asynccontextmanager
async def writers_on(mesh: DevMesh, clients: dict[str, Client], record: Record, per_node: int) -> AsyncIterator[None]:
    """Writers on every node and a watcher on each, for as long as the block runs."""
    for client in clients.values():  # a node that lags must know the project before it is watched there
        await client.board.get_project(board_pb2.GetProjectRequest(name=PROJECT, consistency=FRESH))
    watching = {client: asyncio.Event() for client in clients.values()}
    tasks = [asyncio.create_task(watcher(client, record, ready)) for client, ready in watching.items()]
    try:
        async with asyncio.timeout(AGREE_TIMEOUT_S):
            await asyncio.gather(*(ready.wait() for ready in watching.values()))
        tasks += [
            asyncio.create_task(writer(node, clients[node], record, f"writer {number} on {node}"))
            for node in mesh.nodes
            for number in range(1, per_node + 1)
        ]
        yield
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        broken = [
            result for result in results if isinstance(result, Exception) and not isinstance(result, WeftmeshError)
        ]
        if broken:
            raise broken[0]


async def import_tickets(client: Client, path: Path) -> None:
    """Bring in real tickets."""
    heading(f"Importing {path.name}")
    source = TableSource(build_mapping("jira"))
    begun = time.monotonic()
    report = await run_import(ClientGateway(client), path, source)
    took_s = time.monotonic() - begun
    for problem in report.problems[:5]:
        say(f"  {problem}")
    if report.problems:
        raise SystemExit("the file has problems; nothing was written")
    say(f"  {report.created} tasks of {len(report.projects)} projects in {took_s:.1f} s, fsynced on a majority")
    again = await run_import(ClientGateway(client), path, source)
    say(f"  once more: {again.created} created, {again.updated} changed, {again.unchanged} unchanged")


async def edit_on_two_nodes(first: tuple[str, Client], second: tuple[str, Client]) -> None:
    """Two people edit the same task at once, on two nodes."""
    heading(f"Two people edit one task at once, on {first[0]} and {second[0]}")
    request = board_pb2.CreateTaskRequest(parent=PROJECT, task=board_pb2.Task(title="Boil the ocean"))
    seen = await first[1].board.create_task(request)

    def change(**fields: object) -> board_pb2.UpdateTaskRequest:
        update = board_pb2.UpdateTaskRequest(task=board_pb2.Task(name=seen.name, etag=seen.etag, **fields), base=seen)  # type: ignore[arg-type]
        update.update_mask.paths.extend(fields)
        return update

    await asyncio.gather(
        first[1].board.update_task(change(assignee="ann", labels=["water"])),
        second[1].board.update_task(change(priority=board_pb2.TASK_PRIORITY_HIGH, labels=["heat"])),
    )
    merged = await first[1].board.get_task(board_pb2.GetTaskRequest(name=seen.name, consistency=FRESH))
    say(f"  different fields merge: assignee={merged.assignee}, priority=high, labels={sorted(merged.labels)}")
    outcomes = await asyncio.gather(
        first[1].board.update_task(change(title="Warm the ocean")),
        second[1].board.update_task(change(title="Boil a kettle")),
        return_exceptions=True,
    )
    for node, outcome in zip((first[0], second[0]), outcomes, strict=True):
        if isinstance(outcome, ConflictError):
            say(f"  the same field collides, and the one who came second is told on {node}: {outcome}")
        elif isinstance(outcome, BaseException):
            raise outcome
    history = await first[1].board.list_task_history(board_pb2.ListTaskHistoryRequest(name=seen.name))
    for one in history.changes:
        fields = ", ".join(f"{f.path}: {f.before!r} -> {f.after!r}" for f in one.fields) or "made"
        say(f"  v{one.version} {one.actor}: {fields}")


async def kill_the_leader(mesh: DevMesh, record: Record) -> None:
    """SIGKILL, and the time until a write that began afterwards is acknowledged elsewhere."""
    leader = await mesh.settled()
    heading(f"Killing the leader, {leader}, with SIGKILL, while everybody writes")
    killed = time.monotonic()
    await mesh.kill(leader)
    while time.monotonic() - killed < RESUME_TIMEOUT_S:
        resumed = [begun for begun, node in record.answered_at if begun > killed and node != leader]
        if resumed:
            say(f"  a write acknowledged again after {time.monotonic() - killed:.2f} s")
            break
        await asyncio.sleep(0.01)
    else:
        raise SystemExit(f"no write was acknowledged for {RESUME_TIMEOUT_S:g} s")
    await asyncio.sleep(1.0)
    await mesh.restart(leader)
    say(f"  {leader} is back; the leader now is {await mesh.settled()}")


async def prove(mesh: DevMesh, record: Record) -> None:
    """Hold every acknowledgement against every node, and the nodes' states against each other."""
    heading("Is anything missing?")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(node.client()) for node in mesh.nodes.values()]
        hashes = await agreed_states(clients)
        missing = sum([len(await missing_on(client, record)) for client in clients])
    writes = sum(count + 1 for count in record.acknowledged.values())
    say(f"  {writes} acknowledged writes of {len(record.acknowledged)} tasks, looked up on {len(clients)} nodes:")
    say(f"  missing: {missing}; unanswered while the leader was gone: {record.unanswered}")
    say(f"  the state on every node: {hashes}")
    if missing:
        raise SystemExit("acknowledged writes are missing")


async def missing_on(client: Client, record: Record) -> list[str]:
    """Tasks of which this node lacks an acknowledged write."""
    found = {task.name: task.estimate async for task in client.list_tasks(PROJECT)}
    return [name for name, count in record.acknowledged.items() if found.get(name, -1) < count]


async def agreed_states(clients: Sequence[Client]) -> str:
    """The state hash that all nodes agree on, once they are at the same revision."""
    deadline = time.monotonic() + AGREE_TIMEOUT_S
    while True:
        states = [await client.mesh.get_status() for client in clients]
        if len({(state.revision, state.state_hash) for state in states}) == 1:
            return f"{states[0].state_hash} at revision {states[0].revision}"
        if time.monotonic() > deadline:
            raise SystemExit(f"the nodes differ: {[(s.node, s.revision, s.state_hash) for s in states]}")
        await asyncio.sleep(0.05)


def show_histogram(title: str, window: LatencyWindow) -> None:
    """Print a latency histogram, a row for each power of two."""
    rows: list[HistogramRow] = window.rows(now_ms())
    count = window.count(now_ms())
    if not count:
        return
    p50, p99 = ((window.quantile(now_ms(), q) or 0) / 1000 for q in (0.5, 0.99))
    say(f"\n  {title}: {count} samples, p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    top = max(row.count for row in rows)
    for row in rows:
        bar = "#" * max(1 if row.count else 0, round(row.count / top * BAR_CHARACTERS))
        say(f"  from {row.low_us / 1000:8.2f} ms {bar:<{BAR_CHARACTERS}} {row.count}")


async def tell(data: Path, per_node: int, seconds: float, directory: Path) -> None:
    """The whole story."""
    begun = time.monotonic()
    heading("Starting three nodes on loopback: mutual TLS, a log on disk each, fsync on")
    async with dev_mesh(directory, 3) as mesh, AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(node.client()) for name, node in mesh.nodes.items()}
        say(f"  {', '.join(mesh.nodes)}; {await mesh.settled()} leads, after {time.monotonic() - begun:.1f} s")
        await import_tickets(clients["node2"], data)
        project = board_pb2.Project(title="The demo's own")
        await clients["node3"].board.create_project(board_pb2.CreateProjectRequest(project_id="DEMO", project=project))
        await edit_on_two_nodes(("node1", clients["node1"]), ("node3", clients["node3"]))

        calm = Record()
        heading(f"One writer on each node for {seconds:g} s, and a watcher on each")
        async with writers_on(mesh, clients, calm, 1):
            await asyncio.sleep(seconds)
        show_histogram("commit, as the writers saw it", calm.commit)
        show_histogram("sync, from the leader's commit to a watcher on any node", calm.sync)

        record = Record()
        async with writers_on(mesh, clients, record, per_node):
            await asyncio.sleep(seconds)
            await kill_the_leader(mesh, record)
            await asyncio.sleep(seconds / 2)
        await prove(mesh, record)
    heading("What to try next")
    say('  export PATH="$PWD/.venv/bin:$PATH"                        once in each terminal')
    say("  weftmesh dev up --dir /tmp/mesh --nodes 3 --detach        a mesh of your own")
    say("  export WEFTMESH_SOCKET=/tmp/mesh/node2/run/api.sock")
    say("  weftmesh import jira examples/board-excerpt.csv.gz        and then: weftmesh status, weftmesh task ls")
    say("  weftmesh task watch                                       in one terminal, while you write in another")
    say("  weftmesh dev down --dir /tmp/mesh --wipe                  nothing is left")


def main() -> None:
    """Parse the command line and tell the story."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=EXCERPT, help="a Jira CSV export, .gz accepted")
    parser.add_argument("--writers", type=int, default=8, help="on each node")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each phase")
    arguments = parser.parse_args()
    if not arguments.data.exists():
        sys.exit(f"there is no file {arguments.data}")
    with tempfile.TemporaryDirectory(prefix="weftmesh-demo-") as directory:
        asyncio.run(tell(arguments.data, arguments.writers, arguments.seconds, Path(directory)))


if __name__ == "__main__":
    main()
