"""A member that dawdles keeps no place on another node for longer than a model needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.unit.agent.learning.bench import BenchNode, bench
from tests.unit.agent.learning.test_models import MODEL, put

from weftmesh.agent.learning.model_sharing import TRANSFERS_MAX
from weftmesh.agent.learning.peer_service import TRANSFER_MAX_S
from weftmesh.learning.v1 import learning_pb2, learning_pb2_grpc
from weftmesh.runtime.identity.credentials import open_channel

BEGINNING = learning_pb2.ModelPart(sha256=bytes(32), size_bytes=1_000_000, data=b"and then nothing")


@asynccontextmanager
async def peer_stub(of: BenchNode, to: BenchNode) -> AsyncIterator[Any]:
    async with open_channel(of.identity, to.name, to.address) as channel:
        yield learning_pb2_grpc.LearningPeerServiceStub(channel)


async def begun() -> AsyncIterator[learning_pb2.ModelPart]:
    yield BEGINNING
    await asyncio.Event().wait()


async def test_models_that_never_end_keep_no_other_model_out(tmp_path: Path) -> None:
    async with (
        bench(tmp_path) as (first, second, third),
        peer_stub(third, first) as to_first,
        peer_stub(third, second) as to_second,
    ):
        stalled = [
            stub.StoreModel(begun(), timeout=timeout_s)
            for stub in (to_first, to_second)
            for timeout_s in (None, 10 * TRANSFER_MAX_S)
            for _ in range(TRANSFERS_MAX)
        ]
        waiting = asyncio.gather(*stalled, return_exceptions=True)
        ended = await asyncio.wait_for(waiting, 5.0)
        codes = {one.code() for one in ended if isinstance(one, grpc.aio.AioRpcError)}
        assert codes == {grpc.StatusCode.INVALID_ARGUMENT}
        async with asyncio.timeout(5.0):
            assert await put(first, MODEL) >= 2


@pytest.mark.parametrize("timeout_s", [None, 10 * TRANSFER_MAX_S])
async def test_a_reader_says_how_long_it_may_take(tmp_path: Path, timeout_s: float | None) -> None:
    async with bench(tmp_path) as (first, _, third):
        await put(first, MODEL)
        async with peer_stub(third, first) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await anext(
                    aiter(stub.FetchModel(learning_pb2.GetModelRequest(sha256=MODEL.sha256), timeout=timeout_s))
                )
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
