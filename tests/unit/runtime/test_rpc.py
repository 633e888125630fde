"""Errors cross a real server and a real channel and arrive as what they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it carries no py.typed
from structlog.testing import capture_logs

from weftmesh.board.v1 import board_pb2
from weftmesh.core import errors
from weftmesh.runtime import rpc, rpc_status
from weftmesh.runtime.rpc_server import end_call

ERRORS = [
    errors.InvalidInputError("title is empty; give one", metadata={"field": "task.title"}),
    errors.InvalidInputError("the id was used before", reason="REQUEST_ID_REUSED"),
    errors.ConfigError("node.toml:3: no"),
    errors.NotFoundError("no such task"),
    errors.AlreadyExistsError("it is there"),
    errors.ConflictError("somebody was first"),
    errors.PreconditionError("the project is deleted"),
    errors.ForbiddenError("editors only"),
    errors.UnauthenticatedError("no certificate"),
    errors.OutOfRangeError("revision 3 is gone"),
    errors.OverloadedError("too many writes"),
    errors.NoQuorumError("1 of 3 voters"),
    errors.NodeUnreachableError("node2 is down"),
    errors.UnknownOutcomeError("the leader went away"),
    errors.DataCorruptionError("a bad checksum"),
    errors.WeftmeshError("something else"),
]


class Servicer:
    """Fails, or answers, as the test says."""

    def __init__(self) -> None:
        self.action: Callable[[], None] = lambda: None

    async def answer(self, request: board_pb2.GetTaskRequest, context: object) -> board_pb2.Task:
        self.action()
        return board_pb2.Task(name=request.name)

    async def stream(
        self, requests: AsyncIterator[board_pb2.GetTaskRequest], context: object
    ) -> AsyncIterator[board_pb2.Task]:
        async for request in requests:
            yield board_pb2.Task(name=request.name)
            self.action()

    async def write(
        self, request: board_pb2.GetTaskRequest, context: grpc.aio.ServicerContext[object, board_pb2.Task]
    ) -> None:
        await context.write(board_pb2.Task(name=request.name))
        self.action()

    @rpc.waits
    async def answer_late(self, request: board_pb2.GetTaskRequest, context: object) -> board_pb2.Task:
        return board_pb2.Task(name=request.name)

    async def wait_long(self, request: board_pb2.GetTaskRequest, context: object) -> board_pb2.Task:
        await asyncio.sleep(60)
        return board_pb2.Task()

    def register(self, server: grpc.aio.Server) -> None:
        parse, serialize = board_pb2.GetTaskRequest.FromString, board_pb2.Task.SerializeToString
        handlers = {
            "Answer": grpc.unary_unary_rpc_method_handler(self.answer, parse, serialize),
            "AnswerLate": grpc.unary_unary_rpc_method_handler(self.answer_late, parse, serialize),
            "Stream": grpc.stream_stream_rpc_method_handler(self.stream, parse, serialize),
            "Write": grpc.unary_stream_rpc_method_handler(self.write, parse, serialize),
            "WaitLong": grpc.unary_unary_rpc_method_handler(self.wait_long, parse, serialize),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", handlers),))


class Caller:
    """The four methods of Servicer, as a client sees them."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def answer(self, request: object = None, method: str = "Answer", timeout_s: float = 10) -> board_pb2.Task:
        call = self._channel.unary_unary(f"/test.Test/{method}", _serialize, board_pb2.Task.FromString)
        return await call(request or board_pb2.GetTaskRequest(name="a"), timeout=timeout_s)

    async def stream(self, *requests: object) -> AsyncIterator[board_pb2.Task]:
        call = self._channel.stream_stream("/test.Test/Stream", _serialize, board_pb2.Task.FromString)
        async for task in call(iter(requests), timeout=10):
            yield task

    async def written(self) -> AsyncIterator[board_pb2.Task]:
        call = self._channel.unary_stream("/test.Test/Write", _serialize, board_pb2.Task.FromString)
        async for task in call(board_pb2.GetTaskRequest(name="a"), timeout=10):
            yield task


def _serialize(request: object) -> bytes:
    if isinstance(request, bytes):
        return request
    assert isinstance(request, board_pb2.GetTaskRequest)
    return request.SerializeToString()


@pytest.fixture
def servicer() -> Servicer:
    return Servicer()


@pytest.fixture
async def caller(tmp_path: Path, servicer: Servicer) -> AsyncIterator[Caller]:
    server = grpc.aio.server(
        interceptors=[rpc.ErrorInterceptor()],
        options=rpc.server_options(),
        maximum_concurrent_rpcs=rpc.CONCURRENT_CALLS_MAX,
    )
    servicer.register(server)
    address = f"unix:{tmp_path}/test.sock"
    server.add_insecure_port(address)
    await server.start()
    async with grpc.aio.insecure_channel(address, options=rpc.channel_options()) as channel:
        yield Caller(channel)
    await server.stop(grace=None)


def raising(error: Exception) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


def assert_same(received: errors.WeftmeshError, sent: errors.WeftmeshError) -> None:
    assert type(received) is type(sent)
    assert str(received) == str(sent)
    assert received.reason == sent.reason
    assert sent.metadata.items() <= received.metadata.items()


@pytest.mark.parametrize("sent", ERRORS, ids=lambda error: f"{type(error).__name__}-{error.reason}")
async def test_an_error_crosses_every_kind_of_call(
    caller: Caller, servicer: Servicer, sent: errors.WeftmeshError
) -> None:
    servicer.action = raising(sent)
    with pytest.raises(grpc.aio.AioRpcError) as answered:
        await caller.answer()
    assert_same(rpc.from_rpc_error(answered.value), sent)
    for stream in (caller.stream(board_pb2.GetTaskRequest(name="a")), caller.written()):
        assert (await anext(stream)).name == "a"
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await anext(stream)
        assert_same(rpc.from_rpc_error(ended.value), sent)


def test_every_error_has_a_code() -> None:
    kinds = {error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, Exception)}
    assert {type(error) for error in ERRORS} == kinds
    for error in ERRORS:
        code, status = rpc.to_status(error)
        assert status.code == code.value[0]
        assert code is not grpc.StatusCode.OK


async def test_a_collision_carries_its_detail(caller: Caller, servicer: Servicer) -> None:
    detail = board_pb2.ConflictDetail(name="projects/P/tasks/T", your_etag="v1", current_etag="v3")
    detail.fields.add(path="title", yours="a", theirs="b", theirs_actor="bob@node2")
    servicer.action = raising(rpc.CollisionError("bob@node2 changed title", detail))
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await caller.answer()
    assert failed.value.code() is grpc.StatusCode.ABORTED
    error = rpc.from_rpc_error(failed.value)
    assert isinstance(error, rpc.CollisionError)
    assert error.details == detail


async def test_a_collision_of_long_texts_still_arrives(caller: Caller, servicer: Servicer) -> None:
    detail = board_pb2.ConflictDetail(name="projects/P/tasks/T")
    for path in ("title", "description", "custom.a", "custom.b"):
        detail.fields.add(path=path, yours="ä" * 60_000, theirs="b" * 60_000, theirs_actor="bob@node2")
    error = rpc.CollisionError("ä" * 10_000, detail)
    servicer.action = raising(error)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await caller.answer()
    received = rpc.from_rpc_error(failed.value)
    assert isinstance(received, rpc.CollisionError)
    assert [field.path for field in received.details.fields] == ["title", "description", "custom.a", "custom.b"]
    assert all(field.yours.startswith("ä") and field.yours.endswith("…") for field in received.details.fields)
    assert rpc.error_from_write_failed(rpc.to_write_failed(error)).args == error.args


def test_trailers_stay_within_their_limit() -> None:
    detail = board_pb2.ConflictDetail()
    for number in range(500):
        detail.fields.add(path=f"custom.{number}", yours="x" * 1_000)
    message, trailers = rpc_status.to_trailers(rpc.to_status(rpc.CollisionError("m" * 5_000, detail))[1])
    assert len(message) <= rpc_status.MESSAGE_CHARACTERS_MAX
    assert sum(len(value) for _, value in trailers) <= rpc_status.TRAILER_BYTES_MAX
    error = rpc.error_from_status(status_pb2.Status.FromString(trailers[0][1]))
    assert isinstance(error, errors.ConflictError)


def test_an_answer_of_the_write_stream_carries_the_whole_error() -> None:
    for sent in ERRORS:
        assert_same(rpc.error_from_write_failed(rpc.to_write_failed(sent)), sent)


def test_an_error_that_passes_says_when_to_retry() -> None:
    error = errors.OverloadedError("full", metadata={"retry_after_ms": "1500"})
    details = [
        detail for detail in rpc.to_status(error)[1].details if detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR)
    ]
    retry = error_details_pb2.RetryInfo()
    assert details[0].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 1_500


def test_invalid_input_names_its_field_in_the_standard_way() -> None:
    _, status = rpc.to_status(errors.InvalidInputError("too long", metadata={"field": "task.title"}))
    request = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(request)
    assert request.field_violations[0].field == "task.title"


async def test_a_surprise_tells_the_caller_an_id_and_the_log_the_rest(caller: Caller, servicer: Servicer) -> None:
    servicer.action = raising(RuntimeError("the secret inside"))
    with capture_logs() as logged, pytest.raises(grpc.aio.AioRpcError) as failed:
        await caller.answer()
    error = rpc.from_rpc_error(failed.value)
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(failed.value)
    assert error.metadata["error_id"] in str(error)
    (event,) = [event for event in logged if event.get("error_id") == error.metadata["error_id"]]
    assert event["method"] == "/test.Test/Answer"
    assert event["exc_info"].__traceback__ is not None


@pytest.mark.parametrize(("limit_s", "expected"), [(0.0, 1), (60.0, 0)])
async def test_a_slow_call_is_logged(servicer: Servicer, tmp_path: Path, limit_s: float, expected: int) -> None:
    server = grpc.aio.server(interceptors=[rpc.ErrorInterceptor(slow_call_s=limit_s)])
    servicer.register(server)
    server.add_insecure_port(f"unix:{tmp_path}/slow.sock")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/slow.sock") as channel:
        with capture_logs() as logged:
            await Caller(channel).answer()
            await server.stop(grace=5)
    assert len([event for event in logged if event["event"] == "slow call"]) == expected


async def test_a_call_that_is_made_to_wait_is_not_a_slow_one(servicer: Servicer, tmp_path: Path) -> None:
    server = grpc.aio.server(interceptors=[rpc.ErrorInterceptor(slow_call_s=0.0)])
    servicer.register(server)
    server.add_insecure_port(f"unix:{tmp_path}/slow.sock")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/slow.sock") as channel:
        with capture_logs() as logged:
            await Caller(channel).answer(method="AnswerLate", timeout_s=10.0)
            await server.stop(grace=5)
    assert not [event for event in logged if event["event"] == "slow call"]


async def test_a_malformed_message_is_the_callers_fault(caller: Caller) -> None:
    for call in (caller.answer(b"\xff\xff"), anext(caller.stream(b"\xff\xff"))):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_oversized_message_is_refused_with_what_to_do(caller: Caller, servicer: Servicer) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await caller.answer(board_pb2.GetTaskRequest(name="x" * rpc.MESSAGE_BYTES_MAX))
    error = rpc.from_rpc_error(failed.value)
    assert isinstance(error, errors.InvalidInputError)
    assert error.reason == "MESSAGE_TOO_LARGE"
    assert (await caller.answer()).name == "a"


async def test_a_node_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/none.sock", options=rpc.channel_options()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await Caller(channel).answer()
    assert isinstance(rpc.from_rpc_error(failed.value), errors.NodeUnreachableError)


async def test_a_deadline_leaves_the_outcome_unknown(caller: Caller) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await caller.answer(method="WaitLong", timeout_s=0.05)
    assert isinstance(rpc.from_rpc_error(failed.value), errors.UnknownOutcomeError)


def test_a_call_that_grpc_gives_up_leaves_the_outcome_unknown() -> None:
    """Seen when a node goes down under a call; it is no verdict on a write, and may be asked again."""
    cut_off = grpc.aio.AioRpcError(grpc.StatusCode.CANCELLED, grpc.aio.Metadata(), grpc.aio.Metadata(), "CANCELLED")
    error = rpc.from_rpc_error(cut_off)
    assert isinstance(error, errors.UnknownOutcomeError)
    assert "same request id" in str(error)


async def test_an_unknown_method_says_upgrade(caller: Caller) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await caller.answer(method="Nothing")
    error = rpc.from_rpc_error(failed.value)
    assert isinstance(error, errors.PreconditionError)
    assert "upgrade" in str(error)


def test_damaged_details_fall_back_to_the_code() -> None:
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff"))
    call_error = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), trailers, details="no such task")
    error = rpc.from_rpc_error(call_error)
    assert isinstance(error, errors.NotFoundError)
    assert str(error) == "no such task"


async def test_a_call_whose_connection_broke_is_no_internal_error(caller: Caller, servicer: Servicer) -> None:
    servicer.action = raising(grpc.aio.InternalError("Failed execute_batch"))
    with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError) as caught:
        await caller.answer()
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert logs == []


async def test_an_abort_that_a_broken_connection_did_not_take_is_not_repeated() -> None:
    """gRPC takes one abort for each call, and says so to whoever tries another one."""
    context = AbortedContext()
    with pytest.raises(asyncio.CancelledError):
        await end_call("/test.Test/Answer", context, grpc.aio.InternalError("Failed execute_batch"))  # type: ignore[arg-type]


class AbortedContext:
    """What a context does once it was told to abort."""

    def cancelled(self) -> bool:
        return False

    async def abort(self, *status: object) -> None:
        raise grpc.aio.UsageError("Abort already called!")
