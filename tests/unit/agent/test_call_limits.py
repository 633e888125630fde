"""A real server behind the gate: what one caller may ask, what he is told beyond it, and that others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it carries no py.typed
from structlog.testing import capture_logs
from tests.hostile import frames

from weftmesh.agent.serving.call_limits import WRITE, CallLimits
from weftmesh.agent.serving.caller_keys import CallerKey, CallerKeys
from weftmesh.core.errors import InvalidInputError, OverloadedError, WeftmeshError
from weftmesh.runtime.config import LimitsConfig, load_config
from weftmesh.runtime.doors.doorkeeper import STRIKES, Connections
from weftmesh.runtime.doors.refusals import REASONS, Refusals
from weftmesh.runtime.rpc import ErrorInterceptor, channel_options, from_rpc_error, server_options
from weftmesh.runtime.rpc_gate import GateInterceptor

LIMITS = replace(load_config(None, environment={}, host="n1").limits, reads_per_s=1, writes_per_s=2)
ANN, BOB, NODE = CallerKey(uid=1), CallerKey(uid=2), CallerKey(node="n2")
BOARD = "/weftmesh.board.v1.BoardService"


class SaidKeys(CallerKeys):
    """Believes what the call's metadata say: the tests' callers share one connection."""

    def __init__(self) -> None:
        super().__init__("lab", b"")

    def of(self, context: Any) -> CallerKey | None:
        said = dict(context.invocation_metadata()).get("caller")
        return {"ann": ANN, "bob": BOB, "n2": NODE}.get(said or "")


class Bench:
    """Limits with a clock that stands still until it is moved."""

    def __init__(self, limits: LimitsConfig = LIMITS) -> None:
        self.now_s = 100.0
        self.refusals = Refusals(self._clock)
        self.connections = Connections(self._clock)
        self.limits = CallLimits(limits, SaidKeys(), self.connections, self.refusals, self._clock)

    def _clock(self) -> float:
        return self.now_s

    @asynccontextmanager
    async def served(self, directory: Path, arrival_s: float = 10.0) -> AsyncIterator[Any]:
        server = grpc.aio.server(
            interceptors=[GateInterceptor(self.limits, arrival_s), ErrorInterceptor()], options=server_options()
        )
        server.add_generic_rpc_handlers((Echo(),))
        address = f"unix:{directory}/s"
        server.add_insecure_port(address)
        await server.start()
        async with grpc.aio.insecure_channel(address, options=channel_options()) as channel:
            yield channel
        await server.stop(None)


class Echo(grpc.GenericRpcHandler):
    """Get... and Update... answer at once, Watch... for ever, Write as often as it is asked."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        name = handler_call_details.method.rpartition("/")[2]
        if name.startswith("Watch"):
            return grpc.unary_stream_rpc_method_handler(_forever)
        if name in ("Write", "Exchange"):
            return grpc.stream_stream_rpc_method_handler(_each)
        return None if name == "Unknown" else grpc.unary_unary_rpc_method_handler(_echo)


async def _echo(request: bytes, context: object) -> bytes:
    return request


async def _forever(request: bytes, context: object) -> AsyncIterator[bytes]:
    yield request
    await asyncio.sleep(3600)


async def _each(requests: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def ask(channel: Any, method: str, caller: str = "ann", body: bytes = b"hi") -> bytes:
    answer: bytes = await channel.unary_unary(f"{BOARD}/{method}")(body, metadata=(("caller", caller),), timeout=30)
    return answer


async def refused(channel: Any, method: str, caller: str = "ann") -> WeftmeshError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(channel, method, caller)
    return from_rpc_error(caught.value)


async def test_a_caller_beyond_the_rate_is_told_how_long_to_wait(tmp_path: Path) -> None:
    bench = Bench()
    async with bench.served(tmp_path) as channel:
        for _ in range(4):
            await ask(channel, "GetTask")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(channel, "GetTask")
        status = status_pb2.Status.FromString(dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"])
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(info)
        assert status.details[1].Unpack(retry)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (info.reason, info.domain) == ("RATE_LIMITED", "weftmesh")
        assert retry.retry_delay.ToMilliseconds() == 1_000
        assert bench.refusals.by_reason["RATE_LIMITED"] == 1
        bench.now_s += retry.retry_delay.ToMilliseconds() / 1000
        assert await ask(channel, "GetTask") == b"hi"


async def test_whoever_listens_hears_of_each_call_and_each_streamed_write_too_many(tmp_path: Path) -> None:
    bench = Bench(replace(LIMITS, writes_per_s=1))
    heard: list[tuple[str, str]] = []
    bench.limits.on_refusal = lambda method, _context, error: heard.append((method, error.reason))
    async with bench.served(tmp_path) as channel:
        for _ in range(4):
            await ask(channel, "UpdateTask")
        await refused(channel, "UpdateTask")
    charge = bench.limits.stream_writes(CallOf())  # type: ignore[arg-type]  # what is asked of a context here
    with pytest.raises(OverloadedError):
        charge()
    assert heard == [(f"{BOARD}/UpdateTask", "RATE_LIMITED"), (WRITE, "RATE_LIMITED")]


async def test_reads_writes_and_callers_have_buckets_of_their_own(tmp_path: Path) -> None:
    async with Bench().served(tmp_path) as channel:
        for _ in range(4):
            await ask(channel, "ListTasks")
        assert (await refused(channel, "ListTasks")).reason == "RATE_LIMITED"
        for _ in range(8):
            await ask(channel, "UpdateTask")
        assert (await refused(channel, "UpdateTask")).reason == "RATE_LIMITED"
        assert await ask(channel, "ListTasks", "bob") == b"hi"
        assert await ask(channel, "GetTask", "nobody in particular") == b"hi"


async def test_all_unary_calls_of_a_member_count_as_one_kind(tmp_path: Path) -> None:
    async with Bench(replace(LIMITS, member_calls_per_s=4)).served(tmp_path) as channel:
        for method in ("GetTask", "UpdateTask", "ListTasks", "CreateTask"):
            await ask(channel, method, "n2")
        assert "node n2 makes more than 4 calls a second" in str(await refused(channel, "GetTask", "n2"))


async def test_streams_of_the_log_are_never_limited(tmp_path: Path) -> None:
    bench = Bench(replace(LIMITS, member_calls_per_s=1, calls_per_caller=1))
    async with bench.served(tmp_path) as channel:
        for _ in range(20):
            call = channel.stream_stream("/weftmesh.mesh.v1.RaftService/Exchange")(
                iter([b"a", b"b"]), metadata=(("caller", "n2"),)
            )
            assert [one async for one in call] == [b"a", b"b"]
    assert not any(bench.refusals.by_reason.values())


@pytest.mark.parametrize(
    ("method", "reason", "limits"),
    [
        ("WatchOla", "TOO_MANY_CALLS", replace(LIMITS, calls_per_caller=2)),
        ("Watch", "TOO_MANY_WATCHERS", replace(LIMITS, watchers_per_caller=2)),
    ],
)
async def test_what_is_held_open_is_bounded_and_given_back(
    tmp_path: Path, method: str, reason: str, limits: LimitsConfig
) -> None:
    bench = Bench(limits)
    async with bench.served(tmp_path) as channel:
        metadata = (("caller", "ann"),)
        held = [channel.unary_stream(f"{BOARD}/{method}")(b"x", metadata=metadata) for _ in range(2)]
        for call in held:
            await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_stream(f"{BOARD}/{method}")(b"x", metadata=metadata).read()
        assert from_rpc_error(caught.value).reason == reason
        assert bench.refusals.by_reason[reason] == 1
        held[0].cancel()
        await succeeds(lambda: channel.unary_stream(f"{BOARD}/{method}")(b"x", metadata=metadata).read(), bench)


async def succeeds(attempt: Callable[[], Any], bench: Bench) -> None:
    """A cancelled call is known to the server a moment later."""
    async with asyncio.timeout(30):
        while True:
            try:
                await attempt()
            except grpc.aio.AioRpcError:
                bench.now_s += 10
                await asyncio.sleep(0.02)
            else:
                return


async def test_write_streams_of_a_caller_are_bounded(tmp_path: Path) -> None:
    async with Bench(replace(LIMITS, write_streams_per_caller=1)).served(tmp_path) as channel:
        first = channel.stream_stream(f"{BOARD}/Write")(metadata=(("caller", "ann"),))
        await first.write(b"x")
        assert await first.read() == b"x"
        second = channel.stream_stream(f"{BOARD}/Write")(metadata=(("caller", "ann"),))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await second.read()
        assert from_rpc_error(caught.value).reason == "TOO_MANY_WRITE_STREAMS"
        first.cancel()


class CallOf:
    """A context of a call by ann."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("caller", "ann"),)


def test_each_write_of_a_stream_counts() -> None:
    bench = Bench()
    charge = bench.limits.stream_writes(CallOf())  # type: ignore[arg-type]  # what is asked of a context here
    for _ in range(8):
        charge()
    with pytest.raises(OverloadedError) as caught:
        charge()
    assert caught.value.metadata["retry_after_ms"] == "500"


async def test_a_request_that_does_not_arrive_gives_its_place_back(tmp_path: Path) -> None:
    bench = Bench(replace(LIMITS, calls_per_caller=1))
    async with bench.served(tmp_path, arrival_s=0.2) as channel:
        silent = channel.stream_unary(f"{BOARD}/GetTask")(metadata=(("caller", "ann"),))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await silent
        assert from_rpc_error(caught.value).reason == "REQUEST_TOO_SLOW"
        assert await ask(channel, "GetTask") == b"hi"


async def test_a_call_without_a_request_is_refused(tmp_path: Path) -> None:
    async with Bench().served(tmp_path) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.stream_unary(f"{BOARD}/GetTask")(iter(()), metadata=(("caller", "ann"),))
        assert isinstance(from_rpc_error(caught.value), InvalidInputError)


async def test_unknown_methods_count_like_others(tmp_path: Path) -> None:
    async with Bench().served(tmp_path) as channel:
        codes = []
        for _ in range(9):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(channel, "Unknown")
            codes.append(caught.value.code())
        assert codes == [grpc.StatusCode.UNIMPLEMENTED] * 8 + [grpc.StatusCode.RESOURCE_EXHAUSTED]


async def test_headers_beyond_their_bound_are_refused_before_our_settings_hold(tmp_path: Path) -> None:
    bench = Bench()
    async with bench.served(tmp_path):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        block = frames.block(frames.request_fields(f"{BOARD}/GetTask", further=[("x", "y" * 4_000)] * 5))
        parts = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
        headers = [frames.frame(frames.HEADERS, 0, 1, parts[0])]
        headers += [frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, part) for part in parts[1:]]
        writer.write(frames.opening() + b"".join(headers) + frames.message(1, b"hi"))
        async with asyncio.timeout(30):
            answer = await reader.readuntil(b"grpc-status\x018")
        assert b"grpc-status\x010" not in answer
        writer.close()
    assert bench.refusals.by_reason["HEADERS_TOO_LARGE"] == 1
    assert len(bench.connections.misused_peers) == 1


async def test_whoever_only_gets_refused_is_noticed(tmp_path: Path) -> None:
    bench = Bench()
    async with bench.served(tmp_path) as channel:
        for _ in range(4):
            await ask(channel, "GetTask")
        for _ in range(int(STRIKES.burst)):
            await refused(channel, "GetTask")
        assert not bench.connections.misused_peers
        await refused(channel, "GetTask")
        assert len(bench.connections.misused_peers) == 1


async def test_settings_that_change_hold_from_the_next_call(tmp_path: Path) -> None:
    bench = Bench()
    async with bench.served(tmp_path) as channel:
        for _ in range(4):
            await ask(channel, "GetTask")
        await refused(channel, "GetTask")
        bench.limits.follow(replace(LIMITS, reads_per_s=100))
        bench.now_s += 0.02
        assert await ask(channel, "GetTask") == b"hi"


def test_many_refusals_are_one_line_in_the_log() -> None:
    now_s = [0.0]
    refusals = Refusals(lambda: now_s[0])
    with capture_logs() as lines:
        for _ in range(10_000):
            refusals.count("RATE_LIMITED", "user ann")
        now_s[0] = 60.0
        refusals.count("TOO_MANY_CALLS", "user ann")
    assert [line.get("RATE_LIMITED") for line in lines] == [1, 9_999]
    assert lines[1]["TOO_MANY_CALLS"] == 1
    assert refusals.by_reason == dict.fromkeys(REASONS, 0) | {"RATE_LIMITED": 10_000, "TOO_MANY_CALLS": 1}
