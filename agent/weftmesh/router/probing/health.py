"""gRPC health (grpc.health.v1): Check over a connection that stays open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from weftmesh.core.errors import ConfigError
from weftmesh.core.ola.model import Probe
from weftmesh.core.routing.model import Endpoint
from weftmesh.router.probing.answers import Answer, refused, silent
from weftmesh.router.serving.orca import TRAILER, load_from_report
from weftmesh.runtime.rpc import channel_options

ANSWER_BYTES_MAX: Final = 4_096
IDLE_S: Final = 300.0
"""A connection that no probe used for so long is closed: its endpoint went away, or is asked so seldom."""


@dataclass(slots=True)
class _Connection:
    """A channel, and who uses it.

    Attributes:
        channel: it.
        used_s: when it was used last.
        asking: questions under way.
        failed: no further question comes in; whoever is last closes it.
    """

    channel: grpc.aio.Channel
    used_s: float
    asking: int = 0
    failed: bool = False


class HealthProber:
    """Asks whether a gRPC service is serving; a probe's path is the name of the service, empty for the whole server.

    Args:
        ca_file: certificates of the authorities to trust; None for those of the system.
        idle_s: see IDLE_S.

    Raises:
        ConfigError: `ca_file` cannot be read.
    """

    def __init__(self, ca_file: Path | None = None, idle_s: float = IDLE_S) -> None:
        try:
            self._roots = None if ca_file is None else ca_file.read_bytes()
        except OSError as error:
            raise ConfigError(f"{ca_file}: {error}; name a file of certificates in PEM") from error
        self._connections: dict[tuple[str, bool], _Connection] = {}
        self._idle_s = idle_s
        self._look_at_s = 0.0

    async def ask(self, endpoint: Endpoint, probe: Probe) -> Answer:
        """See Prober."""
        async with self._used(endpoint.address, probe.tls) as connection:
            return await _ask(connection, endpoint, probe)

    def connections(self) -> int:
        """How many are kept."""
        return len(self._connections)

    async def close(self) -> None:
        """Close every connection."""
        connections, self._connections = self._connections, {}
        await asyncio.gather(*(one.channel.close() for one in connections.values()))

    @asynccontextmanager
    async def _used(self, address: str, tls: bool) -> AsyncIterator[_Connection]:
        """A connection for one question. One that failed waits before it tries again: the next question has another."""
        now_s = time.monotonic()
        await self._close_idle(now_s)
        key = address, tls
        found = self._connections.get(key)
        if found is None:
            found = self._connections[key] = _Connection(self._channel(address, tls), now_s)
        found.asking += 1
        try:
            yield found
        finally:
            found.asking -= 1
            found.used_s = time.monotonic()
            if found.failed and self._connections.get(key) is found:
                del self._connections[key]
            if found.failed and not found.asking:
                await found.channel.close()

    async def _close_idle(self, now_s: float) -> None:
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + self._idle_s / 10.0
        idle = [key for key, one in self._connections.items() if not one.asking and now_s - one.used_s > self._idle_s]
        await asyncio.gather(*(self._connections.pop(key).channel.close() for key in idle))

    def _channel(self, address: str, tls: bool) -> grpc.aio.Channel:
        options = [*channel_options(ANSWER_BYTES_MAX), ("grpc.use_local_subchannel_pool", 1)]
        if tls:
            return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(self._roots), options)
        return grpc.aio.insecure_channel(address, options)


async def _ask(connection: _Connection, endpoint: Endpoint, probe: Probe) -> Answer:
    stub = health_pb2_grpc.HealthStub(connection.channel)
    call = stub.Check(health_pb2.HealthCheckRequest(service=probe.path), timeout=probe.timeout_ms / 1e3)
    begun_s = time.monotonic()
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        connection.failed = True
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return silent(probe.timeout_ms)
        return refused(f"{endpoint.address}: {error.code().name}: {error.details() or ''}"[:200])
    latency_us = int((time.monotonic() - begun_s) * 1e6)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        return refused(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status), latency_us)
    trailers = await call.trailing_metadata()
    report = next((value for key, value in trailers or () if key == TRAILER), b"")
    load = load_from_report(report if isinstance(report, bytes) else report.encode())
    return Answer(ok=True, latency_us=latency_us, load=load)
