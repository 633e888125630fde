"""xDS over mutual TLS: gRPC and Envoy with a node's certificate follow, whoever has none or a foreign one does not."""

from __future__ import annotations

import asyncio
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from tests.fakes.certificates import CLUSTER, CertificateAuthority, NodeCertificate
from tests.peers.envoy_process import envoy
from tests.peers.test_xds_grpc import TARGET, bootstrapped
from tests.peers.xds_lab import Endpoints, Heard, calling, endpoints, serving

from weftmesh.client.xds_bootstrap import RemoteRouter
from weftmesh.core.errors import ForbiddenError
from weftmesh.router.xds.discovery import SERVICE as DISCOVERY
from weftmesh.router.xds.kinds import Kind
from weftmesh.router.xds.server import XdsServer
from weftmesh.runtime.identity.credentials import NodeIdentity, peer_node
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.identity.shown import Context
from weftmesh.runtime.identity.store import IdentityStore
from weftmesh.xds.v3 import discovery_pb2

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
ROUTER, CALLER = "router-1", "caller-1"


def material(one: NodeCertificate) -> IdentityMaterial:
    return IdentityMaterial.assemble(authority_pem=one.ca_pem, certificate_pem=one.certificate_pem, key_pem=one.key_pem)


class Admitted:
    """Takes the certificates of the nodes that are named."""

    def __init__(self, nodes: set[str]) -> None:
        self._nodes = nodes

    def check_call(self, context: Context) -> None:
        if (node := peer_node(context.auth_context(), CLUSTER)) not in self._nodes:
            raise ForbiddenError(f"{node} is not let in")


@asynccontextmanager
async def listening(authority: CertificateAuthority, found: Endpoints, admitted: set[str]) -> AsyncIterator[XdsServer]:
    """A server with a certificate, and an even table."""
    identity = NodeIdentity(material(authority.node(ROUTER)))
    server = XdsServer(Heard(), listen="127.0.0.1:0", identity=identity, gate=Admitted(admitted))
    async with serving(server):
        await server.set_routes(found.table((0.0, 0.5, 0.5)))
        yield server


def remote(directory: Path, authority: CertificateAuthority, port: int) -> RemoteRouter:
    """How a client with a certificate dials the server."""
    IdentityStore(directory / "identity").save(material(authority.node(CALLER)))
    return RemoteRouter(f"127.0.0.1:{port}", ROUTER, CLUSTER, directory / "identity")


def with_hosts(directory: Path, router: RemoteRouter) -> list[str]:
    """A command that runs another one where the router's name resolves; skips where there is no right to do that."""
    hosts = directory / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {router.name}\n")
    command = ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$0" "$@"']
    tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("no right to mount another /etc/hosts")
    return command


async def test_a_grpc_client_with_a_certificate_follows(tmp_path: Path) -> None:
    authority = CertificateAuthority()
    async with endpoints() as found, listening(authority, found, {CALLER}) as server:
        router = remote(tmp_path, authority, server.port)
        wrapper = with_hosts(tmp_path, router)
        async with calling(TARGET, bootstrapped(tmp_path, router), wrapper) as caller:
            answers = Counter(await caller.until(200))
            (client,) = server.clients()
    assert set(answers) == {"b", "c"}
    assert client.subject == f"node/{CALLER}"


async def test_envoy_with_a_certificate_follows(tmp_path: Path) -> None:
    authority = CertificateAuthority()
    async with endpoints() as found, listening(authority, found, {CALLER}) as server:
        front = envoy(tmp_path, remote(tmp_path, authority, server.port))
        async with front as running, calling(running.target) as caller:
            answers = Counter(await caller.until(200))
            (client,) = server.clients()
    assert set(answers) == {"b", "c"}
    assert client.subject == f"node/{CALLER}"


async def test_a_node_that_is_no_longer_admitted_is_told_nothing_more(tmp_path: Path) -> None:
    authority, admitted = CertificateAuthority(), {CALLER}
    async with endpoints() as found, listening(authority, found, admitted) as server:
        async with calling_ads(authority.node(CALLER), server.port) as stream:
            await stream.write(discovery_pb2.DiscoveryRequest(type_url=Kind.CLUSTER.value))
            assert isinstance(await stream.read(), discovery_pb2.DiscoveryResponse)
            admitted.clear()
            server.recheck()
            assert await stream.code() is grpc.StatusCode.PERMISSION_DENIED
        assert not server.clients()


@pytest.mark.parametrize("foreign", ["another authority", "not admitted"])
async def test_whoever_is_not_let_in_is_refused(foreign: str) -> None:
    authority = CertificateAuthority()
    async with endpoints() as found, listening(authority, found, {CALLER}) as server:
        other = CertificateAuthority().node(CALLER) if foreign == "another authority" else authority.node("other")
        async with calling_ads(other, server.port, authority.pem) as stream:
            code = await stream.code()
    expected = grpc.StatusCode.UNAVAILABLE if foreign == "another authority" else grpc.StatusCode.PERMISSION_DENIED
    assert code is expected


async def test_a_client_without_a_certificate_gets_no_connection() -> None:
    authority = CertificateAuthority()
    async with endpoints() as found, listening(authority, found, {CALLER}) as server:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        assert await ads(channel).code() is grpc.StatusCode.UNAVAILABLE
        await channel.close()


Stream = grpc.aio.StreamStreamCall[discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse]


def ads(channel: grpc.aio.Channel) -> Stream:
    method: grpc.aio.StreamStreamMultiCallable[discovery_pb2.DiscoveryRequest, discovery_pb2.DiscoveryResponse] = (
        channel.stream_stream(
            f"/{DISCOVERY}/StreamAggregatedResources",
            discovery_pb2.DiscoveryRequest.SerializeToString,
            discovery_pb2.DiscoveryResponse.FromString,
        )
    )
    return method(timeout=30.0)


@asynccontextmanager
async def calling_ads(who: NodeCertificate, port: int, trusted_pem: bytes | None = None) -> AsyncIterator[Stream]:
    """A stream to the server, opened by hand."""
    shown = NodeCertificate(who.name, trusted_pem or who.ca_pem, who.certificate_pem, who.key_pem)
    async with shown.dial(ROUTER, f"127.0.0.1:{port}") as channel:
        stream = ads(channel)
        yield stream
        stream.cancel()
        await asyncio.sleep(0)
