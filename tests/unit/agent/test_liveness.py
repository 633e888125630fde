from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from weftmesh.agent.serving.liveness import Liveness


async def serve(path: Path, calls_max: int | None = None) -> grpc.aio.Server:
    server = grpc.aio.server(maximum_concurrent_rpcs=calls_max)
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    return server


async def test_a_server_that_serves_answers(tmp_path: Path) -> None:
    server = await serve(tmp_path / "grpc.sock")
    liveness = Liveness(tmp_path / "grpc.sock")
    assert await liveness.answers()
    await liveness.close()
    await server.stop(0)


async def test_a_server_that_refuses_is_busy_and_alive(tmp_path: Path) -> None:
    server = await serve(tmp_path / "grpc.sock", calls_max=1)
    liveness = Liveness(tmp_path / "grpc.sock")
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/grpc.sock") as channel:
        taking_all_room = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        await taking_all_room.read()
        assert await liveness.answers()
        taking_all_room.cancel()
    await liveness.close()
    await server.stop(0)


async def test_where_nobody_serves_there_is_no_answer(tmp_path: Path) -> None:
    liveness = Liveness(tmp_path / "grpc.sock")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await liveness.answers()
    await liveness.close()
