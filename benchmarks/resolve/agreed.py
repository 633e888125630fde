"""Agreements to route by, and small servers to route to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from weftmesh.client import Client
from weftmesh.core.ola.model import (
    Agreement,
    Endpoint,
    Probe,
    ProbeKind,
    ResponseTime,
    RouteMode,
    RouteSettings,
    Uptime,
)
from weftmesh.ola.v1 import command_pb2, ola_pb2
from weftmesh.runtime.wire.ola_agreements import agreement_message

CHUNK = 20
"""Agreements in one command."""
CALL_S = 120.0


class Server:
    """Answers every HTTP request with its status."""

    def __init__(self) -> None:
        self.status = 200
        self.address = ""

    async def start(self) -> None:
        """Listen on a free port."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._server = server

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 {self.status} Told\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
        writer.close()


def agreement(service: str, addresses: Iterable[str], *, probed: bool) -> Agreement:
    """An agreement in mode act; with `probed`, over HTTP once a second."""
    return Agreement(
        f"{service}-api",
        "team-a",
        "team-b",
        service,
        (Uptime(999_000_000), ResponseTime(990_000_000, 100_000)),
        86_400,
        probes=(Probe(ProbeKind.HTTP, 1_000, 300, "/healthz"),) if probed else (),
        endpoints=tuple(Endpoint(f"e{at}", address, 4) for at, address in enumerate(addresses)),
        route=RouteSettings(RouteMode.ACT, 50),
    )


async def apply(client: Client, agreements: list[Agreement]) -> None:
    """Bring agreements into force."""
    for begin in range(0, len(agreements), CHUNK):
        news = [
            command_pb2.NewGeneration(agreement=agreement_message(one)) for one in agreements[begin : begin + CHUNK]
        ]
        change = command_pb2.ApplyAgreements(agreements=news)
        await client.ola.change_agreements(ola_pb2.ChangeAgreementsRequest(apply_agreements=change), timeout_s=CALL_S)
