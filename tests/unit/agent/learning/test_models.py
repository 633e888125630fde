"""A model is whole wherever it is: on the wire, on disk, and on as many nodes as have to have it."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.agent.learning.bench import JOB, BenchNode, bench

from weftmesh.agent.learning import model_store
from weftmesh.agent.learning.model_parts import MODEL_BYTES_MAX, Model, from_parts, model_of, to_parts
from weftmesh.agent.learning.model_store import UNNAMED_KEPT_S, ModelStore
from weftmesh.core.errors import InvalidInputError, PreconditionError, WeftmeshError
from weftmesh.learning.v1 import learning_pb2
from weftmesh.learning.v1.command_pb2 import AddVersion, Coordinator, DefineJob, LearningCommand
from weftmesh.runtime.rpc import from_rpc_error

LONG_AGO_S = 1_000_000.0


def named(data: bytes) -> Model:
    return model_of(hashlib.sha256(data).digest(), data)


MODEL = named(b"a model" * 1000)


async def streamed(parts: Iterable[learning_pb2.ModelPart]) -> AsyncIterator[learning_pb2.ModelPart]:
    for part in parts:
        yield part


# On the wire


@given(st.binary(min_size=1, max_size=2_000_000))
async def test_parts_make_the_model_again(data: bytes) -> None:
    assert await from_parts(streamed(to_parts(named(data)))) == named(data)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "came"),
        ([learning_pb2.ModelPart(sha256=b"short", size_bytes=3)], "32 bytes"),
        ([learning_pb2.ModelPart(sha256=bytes(32), size_bytes=0)], "a model has 1 to"),
        ([learning_pb2.ModelPart(sha256=bytes(32), size_bytes=MODEL_BYTES_MAX + 1)], "a model has 1 to"),
        ([learning_pb2.ModelPart(sha256=bytes(32), size_bytes=3, data=b"four")], "more than"),
        ([learning_pb2.ModelPart(sha256=bytes(32), size_bytes=3, data=b"tw")], "2 bytes of 3"),
        ([learning_pb2.ModelPart(sha256=bytes(32), size_bytes=3, data=b"sum")], "are not the model"),
    ],
)
async def test_what_is_no_model_is_refused(parts: list[learning_pb2.ModelPart], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        await from_parts(streamed(parts))


# On disk


async def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    await ModelStore(tmp_path / "models").put(MODEL)
    store = ModelStore(tmp_path / "models")
    assert await store.get(MODEL.sha256) == MODEL
    assert await store.get(bytes(32)) is None
    (path,) = (tmp_path / "models").iterdir()
    assert (path.name, path.stat().st_mode & 0o777) == (MODEL.sha256.hex(), 0o600)


async def test_a_damaged_model_counts_as_absent_and_can_be_put_again(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    await store.put(MODEL)
    path = tmp_path / MODEL.sha256.hex()
    path.write_bytes(MODEL.data[:-1])
    assert await store.get(MODEL.sha256) is None
    assert not path.exists()
    await store.put(MODEL)
    assert await store.get(MODEL.sha256) == MODEL


async def test_a_sweep_keeps_what_is_named_or_new(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    kept, old, new = named(b"kept"), named(b"old"), named(b"new")
    for model in (kept, old, new):
        await store.put(model)
    torn = tmp_path / f".{old.sha256.hex()}.0123.tmp"
    torn.write_bytes(b"ol")
    for path in (tmp_path / kept.sha256.hex(), tmp_path / old.sha256.hex(), torn):
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    assert await store.sweep({kept.sha256}) == 2
    assert set(os.listdir(tmp_path)) == {kept.sha256.hex(), new.sha256.hex()}
    os.utime(tmp_path / kept.sha256.hex(), (LONG_AGO_S, LONG_AGO_S))
    await store.put(kept)
    assert await store.sweep(set()) == 0, "what was put again is about to be named"


async def test_a_sweep_counts_from_the_clock_that_it_is_given(tmp_path: Path) -> None:
    await ModelStore(tmp_path).put(MODEL)
    put_s = (tmp_path / MODEL.sha256.hex()).stat().st_mtime
    assert await ModelStore(tmp_path, lambda: put_s + UNNAMED_KEPT_S - 1).sweep(set()) == 0
    assert await ModelStore(tmp_path, lambda: put_s + UNNAMED_KEPT_S + 1).sweep(set()) == 1


async def test_a_disk_that_takes_nothing_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "models").write_bytes(b"a file where the directory should be")
    with pytest.raises(PreconditionError) as refused:
        await ModelStore(tmp_path / "models").put(MODEL)
    assert refused.value.reason == "MODEL_NOT_STORED"


async def test_a_directory_has_an_end(tmp_path: Path) -> None:
    for number in range(model_store.FILES_MAX):
        (tmp_path / f"{number:064x}").touch()
    with pytest.raises(WeftmeshError, match="that no version names go"):
        await ModelStore(tmp_path).put(MODEL)


async def test_models_leave_room_on_the_disk(tmp_path: Path) -> None:
    for number in range(2):
        path = tmp_path / f"{number:064x}"
        path.touch()
        os.truncate(path, model_store.DISK_BYTES_MAX // 2)  # sparse
    with pytest.raises(WeftmeshError, match="that no version names go"):
        await ModelStore(tmp_path).put(MODEL)
    assert len(os.listdir(tmp_path)) == 2


# On many nodes


@pytest_asyncio.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[list[BenchNode]]:
    async with bench(tmp_path) as running:
        yield running


def models_of(node: BenchNode) -> Path:
    return node.config.node.data_dir / "models"


async def put(node: BenchNode, model: Model) -> int:
    async with node.stub() as stub:
        try:
            return int((await stub.PutModel(to_parts(model), timeout=20)).holders)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error


async def get(node: BenchNode, sha256: bytes) -> Model:
    async with node.stub() as stub:
        try:
            return await from_parts(stub.GetModel(learning_pb2.GetModelRequest(sha256=sha256), timeout=20))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error


def leave_unreachable(node: BenchNode, *others: str) -> None:
    """Let a node believe that others are where nobody answers."""
    for other in others:
        node.engine.move(other, "127.0.0.1:9")


async def test_a_majority_holds_what_was_put_and_its_departure_is_recorded(nodes: list[BenchNode]) -> None:
    first = nodes[0]
    assert await put(first, MODEL) >= 2
    assert sum((models_of(node) / MODEL.sha256.hex()).exists() for node in nodes) >= 2
    assert {one.sha256 for one in first.ledger.egresses} == {MODEL.sha256}
    assert {one.peer for one in first.ledger.egresses} <= {"n2", "n3"}


async def test_without_a_majority_a_put_says_so_and_loses_nothing(nodes: list[BenchNode]) -> None:
    first = nodes[0]
    leave_unreachable(first, "n2", "n3")
    with pytest.raises(WeftmeshError, match="1 of 3 voters hold the model, 2 have to"):
        await put(first, MODEL)
    assert await get(first, MODEL.sha256) == MODEL


async def test_without_a_record_no_model_leaves(nodes: list[BenchNode]) -> None:
    first, second, third = nodes
    first.ledger.broken = True
    with pytest.raises(WeftmeshError, match="1 of 3 voters"):
        await put(first, MODEL)
    with pytest.raises(WeftmeshError) as refused:
        await get(second, MODEL.sha256)
    assert refused.value.reason == "MODEL_NOT_FOUND"
    assert not models_of(second).exists()
    assert not models_of(third).exists()


async def test_a_model_is_fetched_from_whoever_has_it_and_stays(nodes: list[BenchNode]) -> None:
    first, second, third = nodes
    await ModelStore(models_of(third)).put(MODEL)
    assert await get(first, MODEL.sha256) == MODEL
    assert (models_of(first) / MODEL.sha256.hex()).exists()
    assert [one.peer for one in third.ledger.egresses] == ["n1"]
    assert second.ledger.egresses == []


async def test_a_damaged_copy_is_not_passed_on(nodes: list[BenchNode]) -> None:
    first, second, third = nodes
    await ModelStore(models_of(second)).put(MODEL)
    (models_of(second) / MODEL.sha256.hex()).write_bytes(b"something else")
    await ModelStore(models_of(third)).put(MODEL)
    assert await get(first, MODEL.sha256) == MODEL


async def test_many_at_once_get_the_model_from_one_holder(nodes: list[BenchNode]) -> None:
    first, _, third = nodes
    await ModelStore(models_of(third)).put(MODEL)
    assert await asyncio.gather(*(get(first, MODEL.sha256) for _ in range(20))) == [MODEL] * 20


async def test_a_store_is_followed_by_a_sweep_of_what_no_version_names(nodes: list[BenchNode]) -> None:
    first = nodes[0]
    kept, gone = named(b"kept"), named(b"gone")
    for model in (kept, gone):
        await put(first, model)
    await name_version(first, kept)
    for model in (kept, gone):
        os.utime(models_of(first) / model.sha256.hex(), (LONG_AGO_S, LONG_AGO_S))
    await put(first, MODEL)
    async with asyncio.timeout(5):
        while (models_of(first) / gone.sha256.hex()).exists():  # noqa: ASYNC110, told by looking only
            await asyncio.sleep(0.01)
    assert (models_of(first) / kept.sha256.hex()).exists()


async def name_version(node: BenchNode, model: Model) -> None:
    """Make a model a version of a job in the replicated state."""
    define = DefineJob(job=JOB, contributors_floor=3, threshold_percent=60)
    version = AddVersion(
        job=JOB,
        coordinator=Coordinator(node=node.name, term=node.engine.term),
        sha256=model.sha256,
        size_bytes=len(model.data),
        blob_holders=2,
    )
    async with node.stub() as stub:
        await stub.ChangeLearning(learning_pb2.ChangeLearningRequest(define_job=define), timeout=10)
        command = LearningCommand(add_version=version)
        await stub.Propose(learning_pb2.ProposeRequest(command=command), timeout=10)
