"""The doors of a router's xDS: who is let in by certificate, how much each may ask, and what is cut when that ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it carries no py.typed
from tests.fakes.certificates import CertificateAuthority, NodeCertificate
from tests.unit.router.xds_tables import route

from weftmesh.mesh.v1 import mesh_pb2, trust_pb2
from weftmesh.router.config import default_limits
from weftmesh.router.following.standing import FILE_NAME, Standing
from weftmesh.router.samples import Sample
from weftmesh.router.serving.call_limits import CallLimits
from weftmesh.router.serving.guard import Guard
from weftmesh.router.xds.discovery import SERVICE as DISCOVERY
from weftmesh.router.xds.kinds import Kind
from weftmesh.router.xds.loads import SERVICE as LOADS
from weftmesh.router.xds.server import XdsServer
from weftmesh.runtime.config import RouterLimitsConfig
from weftmesh.runtime.identity.certificates import key_sha256, load_certificate
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.rpc import from_rpc_error
from weftmesh.xds.v3 import discovery_pb2

ROUTER, CALLER = "router-1", "caller-1"
WAIT_S = 30.0
Stream = grpc.aio.StreamStreamCall[discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse]


class Nobody:
    """Takes no samples."""

    def take(self, sample: Sample) -> None:
        raise AssertionError(sample)


class Lab:
    """A router's xDS port with all its guards, and what its node says of certificates."""

    def __init__(self, directory: Path, limits: RouterLimitsConfig, arrival_s: float = WAIT_S) -> None:
        self.authority = CertificateAuthority()
        own = self.authority.node(ROUTER)
        material = IdentityMaterial.assemble(
            authority_pem=own.ca_pem, certificate_pem=own.certificate_pem, key_pem=own.key_pem
        )
        self.standing = Standing(directory, lambda: material)
        self.guard = Guard(limits, material.cluster, lambda: {self.server.port}, ())
        self.guard.xds = CallLimits(
            limits, material.cluster, self.guard.connections, self.guard.refusals, time.monotonic, arrival_s
        )
        self.server = XdsServer(
            Nobody(), guard=self.guard, listen="127.0.0.1:0", identity=NodeIdentity(material), gate=self.standing
        )
        self.standing.on_change(self.server.recheck)

    def hear(self, *revocations: trust_pb2.RevocationView) -> None:
        """The node says that the caller is a member, and what is revoked."""
        status = mesh_pb2.NodeStatus(quorum=True, members=[mesh_pb2.Member(name=CALLER)])
        self.standing.hear(status, trust_pb2.CertificatesView(revocations=revocations))

    @asynccontextmanager
    async def asking(
        self, who: NodeCertificate, method: str = f"{DISCOVERY}/StreamAggregatedResources"
    ) -> AsyncIterator[Stream]:
        """A stream of `who`."""
        async with who.dial(ROUTER, f"127.0.0.1:{self.server.port}") as channel:
            yield opened(channel, method)


def opened(channel: grpc.aio.Channel, method: str = f"{DISCOVERY}/StreamAggregatedResources") -> Stream:
    opening: grpc.aio.StreamStreamMultiCallable[discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse] = (
        channel.stream_stream(
            f"/{method}",
            discovery_pb2.DiscoveryRequest.SerializeToString,
            discovery_pb2.DiscoveryResponse.FromString,
        )
    )
    return opening(timeout=WAIT_S)


@asynccontextmanager
async def lab(
    directory: Path, limits: RouterLimitsConfig | None = None, arrival_s: float = WAIT_S
) -> AsyncIterator[Lab]:
    found = Lab(directory, limits or default_limits(), arrival_s)
    await found.server.start()
    await found.server.set_routes({"p": route("p", {"a": 1.0})})
    try:
        yield found
    finally:
        await found.server.stop()


async def follow(stream: Stream) -> None:
    """Subscribe, and see a table."""
    await stream.write(discovery_pb2.DiscoveryRequest(type_url=Kind.CLUSTER.value))
    answer = await stream.read()
    assert isinstance(answer, discovery_pb2.DiscoveryResponse), await stream.details()


async def reason(stream: Stream) -> tuple[grpc.StatusCode, str]:
    """How a stream ended."""
    try:
        while await stream.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code(), from_rpc_error(error).reason
    return grpc.StatusCode.OK, ""


def key_of(one: NodeCertificate) -> str:
    return key_sha256(load_certificate(one.certificate_pem, what="a node's").public_key())


async def test_a_stream_ends_as_soon_as_its_node_is_revoked_though_no_table_changes(tmp_path: Path) -> None:
    async with lab(tmp_path) as found:
        found.hear()
        caller = found.authority.node(CALLER)
        async with found.asking(caller) as stream, found.asking(caller, f"{LOADS}/StreamLoadStats") as loads:
            await follow(stream)
            await loads.write(discovery_pb2.DiscoveryRequest())
            await loads.read()
            found.hear(trust_pb2.RevocationView(node=CALLER, reason="lost"))
            assert await reason(stream) == (grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_REVOKED")
            assert await reason(loads) == (grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_REVOKED")
        async with found.asking(caller) as again:
            assert await reason(again) == (grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_REVOKED")


async def test_a_connection_proves_nothing_by_calls_that_are_refused_for_their_certificate(tmp_path: Path) -> None:
    """Those that proved themselves come before others where there are too many."""
    async with lab(tmp_path) as found:
        found.hear()
        proven = found.guard.connections.proven_peers
        async with found.asking(found.authority.node("removed")) as stream:
            assert (await reason(stream))[1] == "NOT_A_MEMBER"
            assert not proven
        async with found.asking(found.authority.node(CALLER)) as stream:
            await follow(stream)
            assert len(proven) == 1
            found.hear(trust_pb2.RevocationView(node=CALLER, reason="lost"))
            await reason(stream)
            assert not proven


async def test_of_a_node_that_was_let_in_again_the_former_key_gets_no_table(tmp_path: Path) -> None:
    async with lab(tmp_path) as found:
        stolen, new = found.authority.node(CALLER), found.authority.node(CALLER)
        found.hear(trust_pb2.RevocationView(node=CALLER, reason="lost", readmitted=True, allowed_keys=[key_of(new)]))
        async with found.asking(new) as stream:
            await follow(stream)
        async with found.asking(stolen) as stream:
            assert await reason(stream) == (grpc.StatusCode.UNAUTHENTICATED, "CERTIFICATE_REVOKED")


async def test_what_an_older_node_does_not_tell_of_keys_shuts_nobody_out(tmp_path: Path) -> None:
    async with lab(tmp_path) as found:
        found.hear(trust_pb2.RevocationView(node=CALLER, reason="lost", readmitted=True))
        async with found.asking(found.authority.node(CALLER)) as stream:
            await follow(stream)


async def test_a_single_certificate_is_revoked_by_its_serial(tmp_path: Path) -> None:
    async with lab(tmp_path) as found:
        one, other = found.authority.node(CALLER), found.authority.node(CALLER)
        serial = f"{load_certificate(one.certificate_pem, what='a node').serial_number:x}"
        found.hear(trust_pb2.RevocationView(serial=serial, reason="leaked"))
        async with found.asking(other) as stream:
            await follow(stream)
        async with found.asking(one) as stream:
            assert (await reason(stream))[0] is grpc.StatusCode.UNAUTHENTICATED


async def test_a_node_that_is_no_member_gets_no_table(tmp_path: Path) -> None:
    async with lab(tmp_path) as found:
        found.hear()
        async with found.asking(found.authority.node("removed")) as stream:
            assert await reason(stream) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_A_MEMBER")


async def test_a_router_that_begins_without_its_node_goes_by_what_it_heard_before(tmp_path: Path) -> None:
    async with lab(tmp_path) as found:
        found.hear(trust_pb2.RevocationView(node="lost", reason="lost"))
        again = Standing(tmp_path, lambda: None)  # type: ignore[arg-type, return-value]  # what is kept is asked for
        assert vars(again)["_members"] == frozenset({CALLER})
        assert vars(again)["_revoked"] == vars(found.standing)["_revoked"]


@pytest.mark.parametrize("kept", [None, b"no JSON", b'{"members": 1}'])
async def test_while_nothing_was_ever_heard_nobody_gets_a_table(tmp_path: Path, kept: bytes | None) -> None:
    if kept is not None:
        (tmp_path / FILE_NAME).write_bytes(kept)
    async with lab(tmp_path) as found, found.asking(found.authority.node(CALLER)) as stream:
        assert (await reason(stream))[0] is grpc.StatusCode.UNAVAILABLE


async def test_a_node_that_calls_too_often_is_told_how_long_to_wait(tmp_path: Path) -> None:
    async with lab(tmp_path, replace(default_limits(), member_calls_per_s=1)) as found:
        found.hear()
        async with found.asking(found.authority.node(CALLER)) as first:
            await follow(first)
            async with found.asking(found.authority.node(CALLER)) as second:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await second.read()
    status = status_pb2.Status.FromString(dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"])
    retry = error_details_pb2.RetryInfo()
    assert from_rpc_error(caught.value).reason == "RATE_LIMITED"
    assert status.details[1].Unpack(retry)
    assert 0 < retry.retry_delay.ToMilliseconds() <= 1_000
    assert found.guard.refusals.by_reason["RATE_LIMITED"] == 1


@pytest.mark.parametrize("limit", ["watchers", "watchers_per_caller", "calls_per_caller"])
async def test_streams_are_bounded_and_their_places_given_back(tmp_path: Path, limit: str) -> None:
    async with lab(tmp_path, replace(default_limits(), **{limit: 2})) as found:
        found.hear()
        who = found.authority.node(CALLER)
        async with who.dial(ROUTER, f"127.0.0.1:{found.server.port}") as channel:
            held = [opened(channel) for _ in range(2)]
            for one in held:
                await follow(one)
            assert (await reason(opened(channel)))[1] in ("TOO_MANY_WATCHERS", "TOO_MANY_CALLS")
            held[0].cancel()
            async with asyncio.timeout(WAIT_S):
                while len(found.server.clients()) > 1:  # noqa: ASYNC110, the server learns of it a moment later
                    await asyncio.sleep(0.01)
            await follow(opened(channel))


async def test_a_stream_that_asks_for_nothing_is_ended(tmp_path: Path) -> None:
    async with lab(tmp_path, arrival_s=0.2) as found:
        found.hear()
        who = found.authority.node(CALLER)
        async with found.asking(who) as stream, found.asking(who, f"{LOADS}/StreamLoadStats") as loads:
            assert (await reason(stream))[1] == "REQUEST_TOO_SLOW"
            assert (await reason(loads))[1] == "REQUEST_TOO_SLOW"


async def test_requests_that_come_too_fast_are_read_later_and_lost_never(tmp_path: Path) -> None:
    async with lab(tmp_path, replace(default_limits(), writes_per_s=20)) as found:
        found.hear()
        async with found.asking(found.authority.node(CALLER)) as stream:
            began_s = time.monotonic()
            await follow(stream)
            for _ in range(40):
                await stream.write(discovery_pb2.DiscoveryRequest(type_url=Kind.ROUTES.value, resource_names=["none"]))
            await stream.write(discovery_pb2.DiscoveryRequest(type_url=Kind.LISTENER.value))
            assert isinstance(await stream.read(), discovery_pb2.DiscoveryResponse)
            assert time.monotonic() - began_s >= 0.9
