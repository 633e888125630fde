"""Honest callers of a router: one asks where to go, and one follows the table over its port, as an xDS client does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import grpc
from benchmarks.resolve.agreed import agreement, apply
from benchmarks.resolve.serving import table_when
from tests.hostile.honest import PAUSE_S, TIMEOUT_S
from tests.hostile.site import DISCOVER

from weftmesh.cli.dev_node import DevNode
from weftmesh.client.routing import RoutingApi, connect_router
from weftmesh.client.target import Identity, open_channel
from weftmesh.router.xds.kinds import Kind
from weftmesh.xds.v3 import discovery_pb2

ROUTE: Final = "honest"


class Routed:
    """Callers of a router.

    Attributes:
        took_s: how long each Resolve took, since it was last emptied.
        failures: what went wrong, in words.
        tables: responses that the follower was told.
    """

    def __init__(self, router: RoutingApi, follower: grpc.aio.Channel) -> None:
        self._router = router
        self._follower = follower
        self.took_s: list[float] = []
        self.failures: list[str] = []
        self.tables = 0

    async def work(self) -> None:
        """Ask and follow until cancelled."""
        await asyncio.gather(self._resolve(), self._follow())

    async def measured(self, for_s: float) -> list[float]:
        """Seconds that the answers of a while took, sorted."""
        self.took_s.clear()
        await asyncio.sleep(for_s)
        return sorted(self.took_s)

    async def _resolve(self) -> None:
        while True:
            began_s = time.perf_counter()
            try:
                await self._router.resolve(ROUTE, timeout_s=TIMEOUT_S)
                self.took_s.append(time.perf_counter() - began_s)
            except Exception as error:  # noqa: BLE001, whatever it is, it is told
                self.failures.append(f"Resolve: {type(error).__name__}: {error}")
            await asyncio.sleep(PAUSE_S)

    async def _follow(self) -> None:
        """Ask for one more name that does not exist each time, which has to be answered, and note what came."""
        method: grpc.aio.StreamStreamMultiCallable[discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse] = (
            self._follower.stream_stream(
                DISCOVER,
                discovery_pb2.DiscoveryRequest.SerializeToString,
                discovery_pb2.DiscoveryResponse.FromString,
            )
        )
        stream, nonce = method(), ""
        try:
            while True:
                names = ["*", f"none-{self.tables}"]
                await stream.write(
                    discovery_pb2.DiscoveryRequest(
                        type_url=Kind.CLUSTER.value, resource_names=names, response_nonce=nonce
                    )
                )
                answer = await stream.read()
                if not isinstance(answer, discovery_pb2.DiscoveryResponse):
                    self.failures.append("the stream of tables ended")
                    return
                assert answer.resources, "the table is gone"
                nonce = answer.nonce
                self.tables += 1
                await asyncio.sleep(PAUSE_S)
        except (grpc.aio.AioRpcError, AssertionError) as error:
            self.failures.append(f"the stream of tables: {error}")
        except asyncio.InvalidStateError:  # it ended between an answer and the next request
            code, details = await stream.code(), await stream.details()
            self.failures.append(f"the stream of tables: {code.name}: {details}")


@asynccontextmanager
async def routed(node: DevNode, member: DevNode, router: Path, xds: str) -> AsyncIterator[Routed]:
    """Callers of the router of `node` with a route: on its socket, and over its port with the certificate of `member`.

    Args:
        node: applies the route.
        member: whose certificate the follower has.
        router: the router's socket.
        xds: host:port.
    """
    identity = Identity(member.directory / "data" / "identity", node.name)
    async with node.client() as local:
        await apply(local, [agreement(ROUTE, ["10.0.0.1:80", "10.0.0.2:80"], probed=False)])
    async with connect_router(str(router)) as asking, open_channel(xds, identity) as following:
        await table_when(asking, ROUTE, lambda table: len(table.rows) > 1)
        both = Routed(asking, following)
        working = asyncio.create_task(both.work())
        try:
            yield both
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
