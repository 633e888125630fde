"""A real node, its router and its coordinator export what their catalogues say, and nothing of anybody's business."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio
from prometheus_client.metrics_core import Metric as Parsed
from prometheus_client.openmetrics import parser
from tests.integration.command_line import done, weftmesh
from tests.peers.prometheus_tools import promtool

from weftmesh.agent.metrics.board_metrics import REFUSED
from weftmesh.agent.metrics.machine_metrics import ACTIVE_VERSION, BUDGET_SPENT, WINDOW_TIME
from weftmesh.agent.metrics.raft_metrics import (
    PEER_BEHIND,
    PEER_CONNECTED,
    SNAPSHOT_DURATION,
    SNAPSHOT_SIZE,
    SNAPSHOT_TIME,
)
from weftmesh.agent.metrics.room import NODE_METRICS
from weftmesh.cli.dev_mesh import dev_mesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.coordinator.metrics import BUDGET_LEFT, BURN_RATE, COORDINATOR_METRICS
from weftmesh.router.metrics import REQUESTS, ROUTER_METRICS
from weftmesh.runtime.metrics.model import Metric

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

EVENTS_S = 60.0
parse: Callable[[str], Iterable[Parsed]] = parser.text_string_to_metric_families
NOT_ON_A_YOUNG_NODE = {
    # Of one that is alone, wrote no snapshot, has no job of learning and no window that a router recorded yet.
    *(PEER_CONNECTED, PEER_BEHIND, SNAPSHOT_DURATION, SNAPSHOT_SIZE, SNAPSHOT_TIME),
    *(ACTIVE_VERSION, BUDGET_SPENT, WINDOW_TIME, REFUSED),
}
AGREEMENT = """
apiVersion: weftmesh/v1
kind: OLA
metadata: {name: shop}
spec:
  provider: team-shop
  consumer: team-checkout
  service: shop
  window: 28d
  objectives: {uptime: 99.9}
  probes: [{kind: tcp, every: 500ms, timeout: 300ms}]
  endpoints: [{name: shop-1, address: "127.0.0.1:9", capacity: 4}]
  route: {mode: act}
"""


@dataclass(frozen=True)
class Site:
    node: DevNode
    port: int


@contextmanager
def companion(module: str, *arguments: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments])
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A node that was written to, verified and backed up, and has an agreement."""
    directory = tmp_path_factory.mktemp("site")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WEFTMESH_METRICS_LISTEN", f"127.0.0.1:{port}")
        async with dev_mesh(directory, 1) as mesh:
            node = mesh.first
            await done(node, "project", "add", "SECRET", "--title", "Project of nobody's business")
            await done(node, "task", "add", "SECRET", "Words of a person")
            (directory / "shop.yaml").write_text(AGREEMENT)
            await done(node, "ola", "apply", str(directory / "shop.yaml"))
            await done(node, "verify")
            made = await weftmesh(None, "--json", "backup", "keygen", "--to", str(directory / "key"))
            recipient = str(made.json()["recipient"])
            await done(node, "backup", "--to", str(directory / "board.age"), "--recipient", recipient)
            with ExitStack() as beside:
                for name in ("router", "coordinator"):
                    (node.directory / f"run-{name}").mkdir()
                config, sockets = str(node.config_path), node.directory
                told = ("--metrics", str(sockets / "run-router/metrics.sock"))
                beside.enter_context(companion("weftmesh.router", "--config", config, *told))
                told = ("--metrics", str(sockets / "run-coordinator/metrics.sock"))
                beside.enter_context(companion("weftmesh.coordinator", "--socket", str(node.socket), *told))
                yield Site(node, port)


async def fetch(port: int, path: str, accept: str = "application/openmetrics-text") -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\nAccept: {accept}\r\n\r\n".encode())
    head, _, body = (await reader.read(-1)).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body


async def exported(port: int, path: str, wanted: set[str]) -> dict[str, tuple[str, str, str]]:
    """Kind, unit and help by family; waits for those that are wanted."""
    async with asyncio.timeout(EVENTS_S):
        while True:
            status, text = await fetch(port, path)
            if status == 200:
                found = {one.name: (one.type, one.unit, one.documentation) for one in parse(text)}
                if wanted <= found.keys():
                    return found
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("path", "catalogue", "absent"),
    [
        ("/metrics", NODE_METRICS, NOT_ON_A_YOUNG_NODE),
        ("/metrics/router", ROUTER_METRICS, {REQUESTS}),
        ("/metrics/coordinator", COORDINATOR_METRICS, {BUDGET_LEFT, BURN_RATE}),
    ],
)
async def test_a_process_exports_its_catalogue(
    site: Site, path: str, catalogue: tuple[Metric, ...], absent: set[Metric]
) -> None:
    wanted = {one.name for one in catalogue if one not in absent}
    found = await exported(site.port, path, wanted)
    assert found == {one.name: (one.kind.value, one.unit, one.help) for one in catalogue if one.name in found}


async def test_nothing_of_tasks_projects_or_people_is_told(site: Site) -> None:
    for path in ("/metrics", "/metrics/router", "/metrics/coordinator"):
        _, text = await fetch(site.port, path)
        said = [line for line in text.splitlines() if not line.startswith("#")]
        assert said
        assert not re.search(r"SECRET|nobody|person|Words|uid|root", "\n".join(said))


async def test_health_and_readiness_have_pages(site: Site) -> None:
    assert await fetch(site.port, "/-/healthy") == (200, "healthy\n")
    assert await fetch(site.port, "/-/ready") == (200, "ready\n")


async def test_a_neighbour_that_does_not_run_is_unavailable(site: Site) -> None:
    status, said = await fetch(site.port, "/metrics/learner")
    assert status == 503
    assert "learner" in said


async def test_a_write_is_counted(site: Site) -> None:
    async def count() -> float:
        _, text = await fetch(site.port, "/metrics")
        found = re.search(r'^weftmesh_writes_acknowledged_total{home="mesh",outcome="applied"} (\d+)$', text, re.M)
        assert found is not None
        return float(found[1])

    before = await count()
    await done(site.node, "task", "add", "SECRET", "One more")
    assert await count() == before + 1


async def test_prometheus_itself_takes_all_of_it(site: Site) -> None:
    program = promtool()
    for path in ("/metrics", "/metrics/router", "/metrics/coordinator"):
        _, text = await fetch(site.port, path, accept="text/plain")
        pipe = asyncio.subprocess.PIPE
        checking = await asyncio.create_subprocess_exec(program, "check", "metrics", stdin=pipe, stderr=pipe)
        _, said = await checking.communicate(text.encode())
        assert (checking.returncode, said) == (0, b"")
