"""gRPC clients in Python that dial xds:///payments follow the router's table; there is no code for that in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.peers.xds_lab import (
    SERVICE,
    Heard,
    calling,
    endpoints,
    follows_weights,
    reports_loads,
    serving,
    survives_restart,
    takes_changes_at_once,
)
from tests.peers.xds_router import leaves_a_failing_endpoint, routed

from weftmesh.cli.commands.route_bootstrap import bootstrap
from weftmesh.client.xds_bootstrap import LocalRouter, Router, grpc_bootstrap
from weftmesh.router.xds.server import XdsServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
TARGET = f"xds:///{SERVICE}"


def printed(*arguments: str) -> str:
    """What `weftmesh route bootstrap` prints."""
    found = CliRunner().invoke(bootstrap, list(arguments), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def bootstrapped(directory: Path, router: Router) -> dict[str, str]:
    """The environment of a client of that router."""
    file = directory / "bootstrap.json"
    file.write_text(json.dumps(grpc_bootstrap(router, "caller")))
    return {"GRPC_XDS_BOOTSTRAP": str(file)}


async def test_it_follows_weights_and_drains(tmp_path: Path) -> None:
    socket = tmp_path / "xds.sock"
    async with endpoints() as found, serving(XdsServer(Heard(), socket=socket)) as server:
        await server.set_routes(found.table((0.4, 0.3, 0.3)))
        file = tmp_path / "printed.json"
        file.write_text(printed("--grpc", SERVICE, "--xds-socket", str(socket), "--id", "caller"))
        async with calling(TARGET, {"GRPC_XDS_BOOTSTRAP": str(file)}) as caller:
            await follows_weights(server, found, caller)
            (client,) = server.clients()
    assert (client.node, client.subject, client.nacks) == ("caller", "local", 0)


async def test_it_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    socket = tmp_path / "xds.sock"
    second = XdsServer(Heard(), socket=socket)
    async with endpoints() as found, serving(XdsServer(Heard(), socket=socket)) as server:
        await server.set_routes(found.table((0.4, 0.3, 0.3)))
        async with calling(TARGET, bootstrapped(tmp_path, LocalRouter(socket))) as caller:
            await survives_restart(server, second, found, caller)


async def test_it_leaves_a_failing_endpoint(tmp_path: Path) -> None:
    socket = tmp_path / "xds.sock"
    client = calling(TARGET, bootstrapped(tmp_path, LocalRouter(socket)))
    async with endpoints() as found, routed(found, socket) as tables, client as caller:
        await leaves_a_failing_endpoint(found, tables, caller)


async def test_it_reports_its_loads(tmp_path: Path) -> None:
    socket, heard = tmp_path / "xds.sock", Heard()
    async with endpoints() as found, serving(XdsServer(heard, socket=socket)) as server:
        await server.set_routes(found.table((0.4, 0.3, 0.3)))
        async with calling(TARGET, bootstrapped(tmp_path, LocalRouter(socket))) as caller:
            await reports_loads(heard, server, found, caller)


async def test_it_takes_changes_at_once(tmp_path: Path) -> None:
    socket = tmp_path / "xds.sock"
    async with endpoints() as found, serving(XdsServer(Heard(), socket=socket)) as server:
        await server.set_routes(found.table((0.4, 0.3, 0.3)))
        async with calling(TARGET, bootstrapped(tmp_path, LocalRouter(socket)), callers=1) as caller:
            await takes_changes_at_once(server, found, caller)
