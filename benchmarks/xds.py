"""How soon clients follow a change of the table, and what large tables cost: `python -m benchmarks.xds`.

The clients are real ones in processes of their own, grpc-python and, where `make peers` installed it, Envoy. A change
is timed from `XdsServer.set_routes` to the client's acknowledgement, both seen by the server, over its local socket.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from benchmarks import report
from benchmarks.report import Row
from weftmesh.client.xds_bootstrap import LocalRouter, envoy_bootstrap, grpc_bootstrap
from weftmesh.router.samples import Sample
from weftmesh.router.xds.server import XdsServer
from weftmesh.router.xds.snapshot import RouteRow, RouteSnapshot

SERVICE: Final = "r0"
ENDPOINTS: Final = 5
LARGE: Final = ((200, 50), (1, 1_000))
"""Routes, and endpoints of each."""
WAIT_S: Final = 60.0
PAUSE_S: Final = 0.02
ENVOY: Final = Path(__file__).resolve().parents[1] / "build/peers/envoy/_bin/envoy"
DIAL: Final = """
import sys, grpc
channel = grpc.insecure_channel("xds:///" + sys.argv[1])
channel.subscribe(lambda state: None, try_to_connect=True)
sys.stdin.read()
"""


class Unheard:
    """Takes samples in and drops them."""

    def take(self, sample: Sample) -> None:
        """Drop one."""


def tables(routes: int, endpoints: int, rng: random.Random) -> dict[str, RouteSnapshot]:
    """Tables with random weights; nothing listens at the addresses."""
    found = {}
    for number in range(routes):
        drawn = [rng.uniform(0.1, 1.0) for _ in range(endpoints)]
        rows = tuple(
            RouteRow(f"e{at}", f"127.{number % 250}.{at // 250}.{at % 250 + 1}:9", weight / sum(drawn), "z")
            for at, weight in enumerate(drawn)
        )
        found[f"r{number}"] = RouteSnapshot(f"r{number}", 1, rows)
    return found


async def acknowledged(server: XdsServer, since_s: float) -> float:
    """Seconds from `since_s` to the last acknowledgement after it of what was told since.

    Raises:
        TimeoutError: the client took nothing.
    """
    while True:
        for client in server.clients():
            if client.acked_s >= since_s and client.acks + client.nacks == client.told:
                return client.acked_s - since_s
        if time.monotonic() > since_s + WAIT_S:
            raise TimeoutError(f"nothing acknowledged: {server.clients()}")
        await asyncio.sleep(0.001)


@asynccontextmanager
async def process(*command: str, **environment: str) -> AsyncIterator[None]:
    """A client process that ends with the block."""
    null = asyncio.subprocess.DEVNULL
    running = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=null, stderr=null, env=os.environ | environment
    )
    try:
        yield
    finally:
        running.kill()
        await running.wait()


@contextmanager
def directory() -> Iterator[Path]:
    """A short path, as those of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="weftmesh-xds-") as name:
        yield Path(name)


async def measure(client: str, routes: int, endpoints: int, changes: int) -> list[Row]:
    """Give all endpoints of all routes other weights, again and again."""
    rng = random.Random(1)  # noqa: S311, the same weights each time
    with directory() as place:
        router = LocalRouter(place / "xds.sock")
        server = XdsServer(Unheard(), socket=router.socket)
        await server.start()
        started_s = time.monotonic()
        await server.set_routes(tables(routes, endpoints, rng))
        made_ms = (time.monotonic() - started_s) * 1e3
        file = place / "bootstrap.json"
        if client == "envoy":
            file.write_text(json.dumps(envoy_bootstrap(router, SERVICE, client, "127.0.0.1:0")))
            dialling = process(str(shutil.which("envoy") or ENVOY), "-c", str(file), "--concurrency", "1")
        else:
            file.write_text(json.dumps(grpc_bootstrap(router, client)))
            dialling = process(sys.executable, "-c", DIAL, SERVICE, GRPC_XDS_BOOTSTRAP=str(file))
        async with dialling:
            await acknowledged(server, started_s)
            await asyncio.sleep(2.0)
            times = []
            for _ in range(changes):
                await asyncio.sleep(PAUSE_S)
                changed_s = time.monotonic()
                await server.set_routes(tables(routes, endpoints, rng))
                times.append(await acknowledged(server, changed_s))
        await server.stop()
    what = f"{client}, {routes} x {endpoints}"
    times.sort()
    return [
        Row(what, "made_first", round(made_ms, 1), "ms"),
        Row(what, "change_to_ack_p50", round(times[len(times) // 2] * 1e3, 2), "ms"),
        Row(what, "change_to_ack_p99", round(times[int(0.99 * (len(times) - 1))] * 1e3, 2), "ms"),
        Row(what, "resident", round(_resident_bytes() / 2**20, 1), "MiB"),
    ]


def _resident_bytes() -> int:
    """Of this process, which is the server's."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Measure, print a table, write build/bench/xds.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=300, help="of the small table; large ones change 20 times")
    changes = parser.parse_args().changes
    machine = report.machine()
    clients = ["grpc", *(["envoy"] if shutil.which("envoy") or ENVOY.exists() else [])]
    rows: list[Row] = []
    for client in clients:
        for routes, endpoints in ((1, ENDPOINTS), *LARGE):
            count = changes if endpoints == ENDPOINTS else 20
            rows += asyncio.run(measure(client, routes, endpoints, count))
            for row in rows[-4:]:
                print(f"{row.row:<24}{row.metric:<20}{row.value:>10} {row.unit}", flush=True)
    print(report.write("xds", rows, machine))


if __name__ == "__main__":
    main()
