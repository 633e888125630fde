"""The xDS server over its socket, with requests written by hand: senseless loads, bytes that are no message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from tests.unit.router.turns import Turns
from tests.unit.router.xds_tables import route

from weftmesh.core.errors import ConfigError, PreconditionError
from weftmesh.router.samples import Sample, Source
from weftmesh.router.xds.discovery import SERVICE as DISCOVERY
from weftmesh.router.xds.kinds import Kind
from weftmesh.router.xds.loads import REQUESTS_MAX
from weftmesh.router.xds.loads import SERVICE as LOADS
from weftmesh.router.xds.resources import REGION
from weftmesh.router.xds.server import XdsServer
from weftmesh.router.xds.subscription import NAMES_MAX
from weftmesh.xds.v3 import discovery_pb2, loads_pb2

TABLE = {"p": route("p", {"a": 0.5, "b": 0.5, "drained": 0.0})}


class Heard:
    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def take(self, sample: Sample) -> None:
        self.samples.append(sample)


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[tuple[XdsServer, Heard, grpc.aio.Channel]]:
    heard = Heard()
    server = XdsServer(heard, socket=directory / "xds.sock")
    await server.start()
    await server.set_routes(TABLE)
    async with grpc.aio.insecure_channel(f"unix:{directory}/xds.sock") as channel:
        yield server, heard, channel
    await server.stop()


def locality(endpoint: str, good: int, bad: int, under_way: int = 0) -> loads_pb2.UpstreamLocalityStats:
    return loads_pb2.UpstreamLocalityStats(
        locality=discovery_pb2.Locality(region=REGION, sub_zone=endpoint),
        total_successful_requests=good,
        total_error_requests=bad,
        total_requests_in_progress=under_way,
    )


async def eventually(heard: Heard, count: int) -> list[Sample]:
    await until(lambda: len(heard.samples) >= count)
    return heard.samples


async def until(happened: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20.0
    while not happened():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)


def discovery(channel: grpc.aio.Channel) -> grpc.aio.StreamStreamCall[bytes, bytes]:
    """A stream of bare bytes."""
    method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
        f"/{DISCOVERY}/StreamAggregatedResources"
    )
    return method()


def parsed(answer: object) -> discovery_pb2.DiscoveryResponse:
    assert isinstance(answer, bytes), "the stream ended"
    return discovery_pb2.DiscoveryResponse.FromString(answer)


async def test_loads_of_known_endpoints_become_samples_and_others_are_dropped(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, heard, channel):
        method: grpc.aio.StreamStreamMultiCallable[loads_pb2.LoadStatsRequest, loads_pb2.LoadStatsResponse] = (
            channel.stream_stream(
                f"/{LOADS}/StreamLoadStats",
                loads_pb2.LoadStatsRequest.SerializeToString,
                loads_pb2.LoadStatsResponse.FromString,
            )
        )
        stream = method()
        await stream.write(loads_pb2.LoadStatsRequest())
        answer = await stream.read()
        assert isinstance(answer, loads_pb2.LoadStatsResponse)
        assert (answer.send_all_clusters, answer.load_reporting_interval.seconds) == (True, 1)
        known = [locality("a", 7, 2, 3), locality("drained", 1, 0), locality("none", 9, 9), locality("b", 2**63, 0)]
        await stream.write(
            loads_pb2.LoadStatsRequest(
                cluster_stats=[
                    loads_pb2.ClusterStats(cluster_name="elsewhere", upstream_locality_stats=[locality("a", 1, 1)]),
                    loads_pb2.ClusterStats(cluster_name="p", upstream_locality_stats=known),
                ]
            )
        )
        samples = await eventually(heard, 4)
        assert [(one.endpoint, one.ok, one.sent, one.answered) for one in samples] == [
            ("a", True, 7, 7),
            ("a", False, 2, 0),
            ("drained", True, 1, 1),
            ("b", True, REQUESTS_MAX, REQUESTS_MAX),
        ]
        assert {(one.route, one.source, one.latency_us) for one in samples} == {("p", Source.LRS, None)}
        assert server.in_progress()["p", "a"] == 3
        stream.cancel()
        await until(lambda: not server.in_progress())


async def test_bytes_that_are_no_message_end_their_stream_alone(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, _, channel):
        good, bad = discovery(channel), discovery(channel)
        await bad.write(b"\xff\xff\xff")
        assert await bad.code() is grpc.StatusCode.INVALID_ARGUMENT
        # What the router does not have is never answered, and ends nothing.
        await good.write(discovery_pb2.DiscoveryRequest(type_url="type.googleapis.com/x.Y").SerializeToString())
        await good.write(discovery_pb2.DiscoveryRequest(type_url=Kind.CLUSTER.value).SerializeToString())
        answer = parsed(await good.read())
        assert answer.type_url == Kind.CLUSTER.value
        assert len(server.clients()) == 1
        good.cancel()


async def test_a_server_without_routes_says_nothing_until_it_has_some(tmp_path: Path) -> None:
    server = XdsServer(Heard(), socket=tmp_path / "xds.sock")
    await server.start()
    await server.set_routes({})
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/xds.sock") as channel:
        stream = discovery(channel)
        await stream.write(discovery_pb2.DiscoveryRequest(type_url=Kind.CLUSTER.value).SerializeToString())
        reading = asyncio.ensure_future(stream.read())
        await asyncio.sleep(0.3)
        assert not reading.done()
        await server.set_routes(TABLE)
        assert len(parsed(await reading).resources) == 1
        # From then on, nothing is nothing.
        await server.set_routes({})
        assert not parsed(await stream.read()).resources
        stream.cancel()
    await server.stop()


async def test_a_second_server_does_not_take_the_socket(tmp_path: Path) -> None:
    async with served(tmp_path):
        with pytest.raises(PreconditionError, match="another router listens"):
            await XdsServer(Heard(), socket=tmp_path / "xds.sock").start()


def test_there_is_no_listening_for_others_without_a_certificate() -> None:
    with pytest.raises(ConfigError, match="without TLS"):
        XdsServer(Heard(), listen="127.0.0.1:0")
    with pytest.raises(ConfigError, match="a socket or an address"):
        XdsServer(Heard())


async def test_whoever_asks_for_more_names_than_there_can_be_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, _, channel):
        stream = discovery(channel)
        names = [f"r{at}" for at in range(NAMES_MAX + 1)]
        asked = discovery_pb2.DiscoveryRequest(type_url=Kind.ASSIGNMENT.value, resource_names=names)
        await stream.write(asked.SerializeToString())
        assert await stream.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await until(lambda: not server.clients())


async def test_a_long_report_of_loads_does_not_hold_the_loop(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, heard, channel):
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(f"/{LOADS}/StreamLoadStats")
        stream = method()
        mixed = [locality("a", 1, 1), locality("none", 1, 1)] * 20_000
        sums = loads_pb2.ClusterStats(cluster_name="p", upstream_locality_stats=mixed)
        turns = Turns()
        await stream.write(loads_pb2.LoadStatsRequest(cluster_stats=[sums]).SerializeToString())
        await eventually(heard, 40_000)
        await turns.stop()
        assert turns.longest_s < turns.whole_s / 2
