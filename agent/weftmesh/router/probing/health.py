"""gRPC health (grpc.health.v1): Check over a connection that stays open."""

from __future__ import annotations

import asyncio
import time
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


class HealthProber:
    """Asks whether a gRPC service is serving; a probe's path is the name of the service, empty for the whole server.

    Args:
        ca_file: certificates of the authorities to trust; None for those of the system.

    Raises:
        ConfigError: `ca_file` cannot be read.
    """

    def __init__(self, ca_file: Path | None = None) -> None:
        try:
            self._roots = None if ca_file is None else ca_file.read_bytes()
        except OSError as error:
            raise ConfigError(f"{ca_file}: {error}; name a file of certificates in PEM") from error
        self._channels: dict[tuple[str, bool], grpc.aio.Channel] = {}

    async def ask(self, endpoint: Endpoint, probe: Probe) -> Answer:
        """See Prober."""
        stub = health_pb2_grpc.HealthStub(self._channel(endpoint.address, probe.tls))
        call = stub.Check(health_pb2.HealthCheckRequest(service=probe.path), timeout=probe.timeout_ms / 1e3)
        begun_s = time.monotonic()
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            await self._drop(endpoint.address, probe.tls)
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

    async def close(self) -> None:
        """Close every connection."""
        channels, self._channels = self._channels, {}
        await asyncio.gather(*(one.close() for one in channels.values()))

    def _channel(self, address: str, tls: bool) -> grpc.aio.Channel:
        found = self._channels.get((address, tls))
        if found is None:
            options = [*channel_options(ANSWER_BYTES_MAX), ("grpc.use_local_subchannel_pool", 1)]
            if tls:
                found = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(self._roots), options)
            else:
                found = grpc.aio.insecure_channel(address, options)
            self._channels[address, tls] = found
        return found

    async def _drop(self, address: str, tls: bool) -> None:
        """A connection that failed waits before it tries again; the next probe must not wait for that."""
        channel = self._channels.pop((address, tls), None)
        if channel is not None:
            await channel.close()
