"""Envoy follows the router's table by both forms of xDS, from what `weftmesh route bootstrap --envoy` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from tests.peers.envoy_process import envoy, envoy_program
from tests.peers.xds_lab import (
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

from weftmesh.client.xds_bootstrap import LocalRouter
from weftmesh.router.xds.kinds import Kind
from weftmesh.router.xds.resources import entries_of
from weftmesh.router.xds.server import XdsServer
from weftmesh.xds.v3 import resources_pb2

pytestmark = [pytest.mark.alone, pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _installed() -> None:
    envoy_program()


@pytest.mark.parametrize("incremental", [False, True], ids=["world", "delta"])
async def test_it_follows_weights_and_drains(tmp_path: Path, incremental: bool) -> None:
    socket = tmp_path / "xds.sock"
    async with endpoints() as found, serving(XdsServer(Heard(), socket=socket)) as server:
        await server.set_routes(found.table((0.4, 0.3, 0.3)))
        async with envoy(tmp_path, LocalRouter(socket), incremental=incremental) as running:
            async with calling(running.target) as caller:
                await follows_weights(server, found, caller)
            (client,) = server.clients()
    assert (client.node, client.incremental, client.nacks) == ("front", incremental, 0), client


@pytest.mark.parametrize("incremental", [False, True], ids=["world", "delta"])
async def test_it_survives_a_restart_of_the_server(tmp_path: Path, incremental: bool) -> None:
    socket = tmp_path / "xds.sock"
    second = XdsServer(Heard(), socket=socket)
    async with endpoints() as found, serving(XdsServer(Heard(), socket=socket)) as server:
        await server.set_routes(found.table((0.4, 0.3, 0.3)))
        front = envoy(tmp_path, LocalRouter(socket), incremental=incremental)
        async with front as running, calling(running.target) as caller:
            await survives_restart(server, second, found, caller)


async def test_it_leaves_a_failing_endpoint(tmp_path: Path) -> None:
    socket = tmp_path / "xds.sock"
    front = envoy(tmp_path, LocalRouter(socket))
    async with endpoints() as found, routed(found, socket) as tables, front as one, calling(one.target) as caller:
        await leaves_a_failing_endpoint(found, tables, caller)


async def test_it_reports_its_loads(tmp_path: Path) -> None:
    socket, heard = tmp_path / "xds.sock", Heard()
    async with endpoints() as found, serving(XdsServer(heard, socket=socket)) as server:
        await server.set_routes(found.table((0.4, 0.3, 0.3)))
        async with envoy(tmp_path, LocalRouter(socket)) as running, calling(running.target) as caller:
            await reports_loads(heard, server, found, caller)


async def test_it_takes_changes_at_once(tmp_path: Path) -> None:
    socket = tmp_path / "xds.sock"
    async with endpoints() as found, serving(XdsServer(Heard(), socket=socket)) as server:
        await server.set_routes(found.table((0.4, 0.3, 0.3)))
        async with envoy(tmp_path, LocalRouter(socket)) as running, calling(running.target, callers=1) as caller:
            await takes_changes_at_once(server, found, caller)


async def test_every_field_means_to_envoy_what_it_means_here(tmp_path: Path) -> None:
    """Our messages have Envoy's fields by number; it prints what it understood by name."""
    socket = tmp_path / "xds.sock"
    async with endpoints() as found, serving(XdsServer(Heard(), socket=socket)) as server:
        (agreed,) = found.table((0.4, 0.3, 0.3), max_ejection_percent=40.0).values()
        agreed = replace(agreed, requests_max=500)
        await server.set_routes({agreed.route: agreed})
        async with envoy(tmp_path, LocalRouter(socket)) as running:
            async with calling(running.target) as caller:
                await caller.until(1)
            dump = json.loads(await running.ask("/config_dump?include_eds"))
            assert await running.counter("control_plane.rate_limit_enforced") == 0
    configs = [one for part in dump["configs"] for one in _leaves(part)]
    entries = entries_of(agreed)
    cluster = resources_pb2.Cluster.FromString(entries[Kind.CLUSTER].content)
    ours: list[tuple[Kind, Message]] = [
        (Kind.CLUSTER, cluster),
        (Kind.ASSIGNMENT, resources_pb2.ClusterLoadAssignment.FromString(entries[Kind.ASSIGNMENT].content)),
        (Kind.ROUTES, resources_pb2.RouteConfiguration.FromString(entries[Kind.ROUTES].content)),
    ]
    options = dict(cluster.typed_extension_protocol_options)
    cluster.ClearField("typed_extension_protocol_options")
    for kind, message in ours:
        shown = [one for one in configs if one.get("@type") == kind.value]
        expected = MessageToDict(message, preserving_proto_field_name=True)
        assert any(_says(one, expected) for one in shown), (expected, shown)
    (envoys,) = [one for one in configs if one.get("@type") == Kind.CLUSTER.value and one["name"] == agreed.route]
    (name,) = options
    protocols = resources_pb2.HttpProtocolOptions.FromString(options[name].value)
    assert _says(
        envoys["typed_extension_protocol_options"][name], MessageToDict(protocols, preserving_proto_field_name=True)
    )


def _leaves(part: object) -> Iterator[dict[str, Any]]:
    """Every object within a dump."""
    if isinstance(part, dict):
        yield part
        for value in part.values():
            yield from _leaves(value)
    elif isinstance(part, list):
        for value in part:
            yield from _leaves(value)


def _says(shown: object, expected: object) -> bool:
    """Whether all of `expected` is in what Envoy shows, which adds its defaults."""
    if isinstance(expected, dict) and isinstance(shown, dict):
        return all(_says(shown.get(key), value) for key, value in expected.items())
    if isinstance(expected, list) and isinstance(shown, list):
        return len(expected) == len(shown) and all(map(_says, shown, expected))
    return shown == expected or str(shown) == str(expected).removeprefix("API_VERSION_")
