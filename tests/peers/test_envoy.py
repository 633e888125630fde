"""Envoy follows the router's table by both forms of xDS, from what `weftmesh route bootstrap --envoy` prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.peers.envoy_process import envoy, envoy_program
from tests.peers.xds_lab import Heard, calling, endpoints, follows_weights, serving

from weftmesh.client.xds_bootstrap import LocalRouter
from weftmesh.router.xds.server import XdsServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _installed() -> None:
    envoy_program()


@pytest.mark.parametrize("incremental", [False, True], ids=["world", "delta"])
async def test_it_follows_weights_and_drains(tmp_path: Path, incremental: bool) -> None:
    socket = tmp_path / "xds.sock"
    async with endpoints() as found, serving(XdsServer(Heard(), socket=socket)) as server:
        server.set_routes(found.table((0.4, 0.3, 0.3)))
        async with envoy(tmp_path, LocalRouter(socket), incremental=incremental) as running:
            async with calling(running.target) as caller:
                await follows_weights(server, found, caller)
            (client,) = server.clients()
    assert (client.node, client.incremental, client.nacks) == ("front", incremental, 0), client
