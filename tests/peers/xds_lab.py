"""Three endpoints, an xDS server, and clients in processes of their own, for tests with real clients."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from weftmesh.router.samples import Sample
from weftmesh.router.xds.server import XdsServer
from weftmesh.router.xds.snapshot import RouteRow, RouteSnapshot
from weftmesh.runtime.rpc import server_options

SERVICE = "payments"
NAMES = ("a", "b", "c")
START_S = 60.0
"""A client on a loaded machine has so long until its first answer."""
CALLER = Path(__file__).with_name("xds_caller.py")
REPOSITORY = Path(__file__).parents[2]


@dataclass(slots=True)
class Heard:
    """Takes samples in."""

    samples: list[Sample] = field(default_factory=list)

    def take(self, sample: Sample) -> None:
        self.samples.append(sample)

    def requests(self, endpoint: str, ok: bool) -> int:
        return sum(one.sent for one in self.samples if (one.endpoint, one.ok) == (endpoint, ok))


class Endpoints:
    """gRPC servers that answer with their names, or fail when told to."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.addresses: dict[str, str] = {}
        self._servers: list[grpc.aio.Server] = []

    async def start(self) -> None:
        for name in NAMES:
            server = grpc.aio.server(options=server_options())
            server.add_generic_rpc_handlers((self._handler(name),))
            self.addresses[name] = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
            await server.start()
            self._servers.append(server)

    async def stop(self) -> None:
        await asyncio.gather(*(one.stop(0) for one in self._servers))

    def _handler(self, name: str) -> grpc.GenericRpcHandler:
        async def answer(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            if name in self.failing:
                await context.abort(grpc.StatusCode.UNAVAILABLE, f"{name} fails")
            return name.encode()

        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answer)
        return grpc.method_handlers_generic_handler("weftmesh.test.Echo", {"Name": method})

    def table(
        self, weights: Sequence[float], version: int = 1, max_ejection_percent: float | None = None
    ) -> dict[str, RouteSnapshot]:
        """A table with a weight for each endpoint."""
        rows = tuple(RouteRow(name, self.addresses[name], weight) for name, weight in zip(NAMES, weights, strict=True))
        return {SERVICE: RouteSnapshot(SERVICE, version, rows, max_ejection_percent)}


class Caller:
    """A client process, and what it saw."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.calls: list[tuple[float, str]] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            at, _, answer = line.decode().rstrip("\n").partition(" ")
            self.calls.append((float(at), answer))

    async def until(self, count: int, since_s: float = 0.0) -> list[str]:
        """The answers of calls that ended after `since_s`, once there are so many."""
        deadline_s = time.monotonic() + START_S
        while len(found := self.since(since_s)) < count:
            assert time.monotonic() < deadline_s, f"only {len(found)} of {count} calls: {Counter(found)}"
            assert self._process.returncode is None, "the client ended"
            await asyncio.sleep(0.02)
        return found

    def since(self, since_s: float) -> list[str]:
        return [answer for at, answer in self.calls if at >= since_s]

    def last(self, answers: Iterable[str]) -> float:
        """When one of these came last."""
        wanted = set(answers)
        return max((at for at, answer in self.calls if answer in wanted), default=0.0)

    def errors(self) -> list[str]:
        return [answer for _, answer in self.calls if answer.startswith("!")]

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 10.0)
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading


@asynccontextmanager
async def calling(
    target: str, environment: dict[str, str] | None = None, wrapper: Sequence[str] = (), callers: int = 4
) -> AsyncIterator[Caller]:
    """A client process that calls `target` all the time."""
    process = await asyncio.create_subprocess_exec(
        *wrapper,
        sys.executable,
        str(CALLER),
        target,
        str(callers),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | (environment or {}),
    )
    caller = Caller(process)
    try:
        yield caller
    finally:
        await caller.stop()


@asynccontextmanager
async def endpoints() -> AsyncIterator[Endpoints]:
    """Three endpoints."""
    found = Endpoints()
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


@asynccontextmanager
async def serving(server: XdsServer) -> AsyncIterator[XdsServer]:
    """A started server."""
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def check_shares(answers: Sequence[str], weights: Sequence[float], off_max: float = 0.03) -> None:
    """Each endpoint's share of the answers is within three points of its weight, and exactly 0 without one."""
    counts = Counter(answers)
    for name, weight in zip(NAMES, weights, strict=True):
        share = counts[name] / len(answers)
        assert abs(share - weight) <= off_max, f"{name}: {share:.3f} of {len(answers)}, not {weight}: {counts}"
        assert weight or not counts[name], f"{name} was drained and still got {counts[name]}"


async def acknowledged(server: XdsServer, since_s: float) -> float:
    """Seconds from `since_s` until every client took something new."""
    deadline_s = time.monotonic() + START_S
    while True:
        times = [one.acked_s for one in server.clients()]
        if times and min(times) >= since_s:
            return max(times) - since_s
        assert time.monotonic() < deadline_s, f"not acknowledged: {server.clients()}"
        await asyncio.sleep(0.001)


ACK_MEDIAN_S = 0.5
"""On a machine that does much else; `make bench-xds` measures it."""
SAMPLE_SIZE = 4_000
"""Calls from which shares are computed: three points are over 3.8 standard deviations of any share."""


async def follows_weights(server: XdsServer, found: Endpoints, caller: Caller) -> None:
    """Other weights, a drain, and no failed call."""
    await caller.until(50)
    for version, weights in enumerate([(0.8, 0.1, 0.1), (0.0, 0.5, 0.5)], 2):
        changed_s = time.monotonic()
        await server.set_routes(found.table(weights, version))
        await acknowledged(server, changed_s)
        # Calls that were under way keep their endpoint.
        settled_s = time.monotonic() + 0.5
        check_shares((await caller.until(SAMPLE_SIZE, settled_s))[:SAMPLE_SIZE], weights)
    assert not caller.errors()


async def takes_changes_at_once(server: XdsServer, found: Endpoints, caller: Caller) -> None:
    """From a change to its acknowledgement it takes milliseconds."""
    await caller.until(50)
    times = []
    for version in range(2, 33):
        changed_s = time.monotonic()
        await server.set_routes(found.table((0.4, 0.3, 0.3) if version % 2 else (0.5, 0.3, 0.2), version))
        times.append(await acknowledged(server, changed_s))
    assert sorted(times)[len(times) // 2] < ACK_MEDIAN_S, times
    (client,) = server.clients()
    assert client.acks == client.told
    assert client.ack_p99_us is not None


async def survives_restart(first: XdsServer, second: XdsServer, found: Endpoints, caller: Caller) -> None:
    """The server goes away and comes back with another table; no call fails meanwhile."""
    await caller.until(50)
    await first.stop()
    gone_s = time.monotonic()
    await caller.until(500, gone_s)
    # It knows no routes yet, as a router that has not reached its node: that takes none away.
    await second.start()
    await second.set_routes({})
    try:
        while not second.clients():
            assert time.monotonic() < gone_s + START_S, "the client does not come back"
            await asyncio.sleep(0.05)
        await caller.until(200, time.monotonic())
        changed_s = time.monotonic()
        await second.set_routes(found.table((0.0, 0.9, 0.1)))
        await acknowledged(second, changed_s)
        check_shares((await caller.until(SAMPLE_SIZE, time.monotonic() + 0.5))[:SAMPLE_SIZE], (0.0, 0.9, 0.1))
        assert not caller.errors()
    finally:
        await second.stop()


async def reports_loads(heard: Heard, server: XdsServer, found: Endpoints, caller: Caller) -> None:
    """What clients report is what they did: each call once, as a success or as an error of its endpoint."""
    await caller.until(300)
    found.failing.add("c")
    await caller.until(300, time.monotonic())
    ended = len(caller.calls)
    deadline_s = time.monotonic() + START_S
    while sum(one.sent for one in heard.samples) < ended:
        assert time.monotonic() < deadline_s, f"{sum(one.sent for one in heard.samples)} of {ended} calls reported"
        await asyncio.sleep(0.1)
    assert set(server.in_progress()) <= {(SERVICE, name) for name in NAMES}
    await caller.stop()
    # A client reports once a second and not when it ends, so its last second is missing.
    for name in NAMES:
        seen = sum(answer in (name, f"!UNAVAILABLE {name} fails") for _, answer in caller.calls)
        reported = heard.requests(name, ok=True) + heard.requests(name, ok=False)
        assert 0 < reported <= seen, (name, reported, seen)
    assert not heard.requests("a", ok=False)
    assert heard.requests("c", ok=False)
    assert {one.latency_us for one in heard.samples} == {None}
