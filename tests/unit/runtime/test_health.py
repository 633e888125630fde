"""What is served, and word to whoever watches it, over a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from weftmesh.runtime.health import Health
from weftmesh.runtime.rpc import ErrorInterceptor

WAIT_S = 30.0
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
BOARD = health_pb2.HealthCheckRequest(service="board")


@asynccontextmanager
async def served(directory: Path, health: Health) -> AsyncIterator[Any]:
    """A stub of a server that stops at the end, within a bound."""
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    address = f"unix:{directory}/s"
    server.add_insecure_port(address)
    await server.start()
    try:
        async with asyncio.timeout(WAIT_S), grpc.aio.insecure_channel(address) as channel:
            yield health_pb2_grpc.HealthStub(channel)
    finally:
        health.close()
        await asyncio.wait_for(server.stop(0), WAIT_S)


async def test_what_is_served_is_said_and_what_is_not_known_is_refused(tmp_path: Path) -> None:
    health = Health()
    health.set("board", serving=False)
    async with served(tmp_path, health) as stub:
        assert (await stub.Check(BOARD)).status == NOT_SERVING
        health.set("board", serving=True)
        assert (await stub.Check(BOARD)).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError, match="'bored'") as refused:
            await stub.Check(health_pb2.HealthCheckRequest(service="bored"))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_watcher_hears_of_each_change_also_of_a_service_that_comes(tmp_path: Path) -> None:
    health = Health()
    async with served(tmp_path, health) as stub:
        watch = stub.Watch(BOARD)
        assert (await watch.read()).status == SERVICE_UNKNOWN
        for serving in (False, True, False):
            health.set("other", serving=serving)
            health.set("board", serving=serving)
            assert (await watch.read()).status == (SERVING if serving else NOT_SERVING)


async def test_a_watcher_that_leaves_takes_no_word_from_the_others(tmp_path: Path) -> None:
    health = Health()
    health.set("board", serving=False)
    async with served(tmp_path, health) as stub:
        stays, leaves = stub.Watch(BOARD), stub.Watch(BOARD)
        assert [(await watch.read()).status for watch in (stays, leaves)] == [NOT_SERVING, NOT_SERVING]
        leaves.cancel()
        await stub.Check(BOARD)
        health.set("board", serving=True)
        assert (await stays.read()).status == SERVING


async def test_what_is_closed_serves_no_more(tmp_path: Path) -> None:
    health = Health()
    health.set("board", serving=True)
    async with served(tmp_path, health) as stub:
        watch = stub.Watch(BOARD)
        assert (await watch.read()).status == SERVING
        health.close()
        assert (await watch.read()).status == NOT_SERVING
        health.set("board", serving=True)
        assert (await stub.Check(BOARD)).status == NOT_SERVING
