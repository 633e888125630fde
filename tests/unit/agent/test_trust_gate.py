"""Over real TLS: what a revoked certificate may not do any more, and whom a server comes to trust while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from weftmesh.agent.trust.gate import Gate
from weftmesh.core.board.commands import Header
from weftmesh.core.trust.commands import BeginRotation, FinishRotation, Readmit, Revoke, SwitchIssuer
from weftmesh.core.trust.machine import Trust
from weftmesh.runtime.doors.cutting import RevocationInterceptor
from weftmesh.runtime.identity.authority import Authority
from weftmesh.runtime.identity.certificates import key_to_pem, make_key, make_signing_request, to_pem
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel, server_credentials
from weftmesh.runtime.identity.material import IdentityMaterial
from weftmesh.runtime.rpc import ErrorInterceptor

HEADER = Header("ann@n1", 1 << 16)
LATER_MS = 2**52


def authority() -> Authority:
    return Authority.create("lab", now=datetime.now(UTC))


def material(of: Authority, node: str) -> IdentityMaterial:
    key = make_key()
    certificate = of.issue(make_signing_request(key, node), node, now=datetime.now(UTC))
    return IdentityMaterial.assemble(
        authority_pem=of.certificate_pem, certificate_pem=to_pem(certificate), key_pem=key_to_pem(key)
    )


@dataclass
class Served:
    """n1 serves health over mutual TLS, whose Watch is a stream that never ends."""

    authority: Authority = field(default_factory=authority)
    trust: Trust = field(default_factory=Trust)
    port: int = 0
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate = Gate(lambda: self.trust)
        self.interceptor = RevocationInterceptor(self.gate)
        self.interceptor.on_refusal = lambda method, _context, _error: self.refused.append(method)
        self.identity = NodeIdentity(material(self.authority, "n1"))

    def dial(self, caller: IdentityMaterial) -> grpc.aio.Channel:
        return open_channel(NodeIdentity(caller), "n1", f"127.0.0.1:{self.port}")

    def revoke(self, node: str, serial: str = "") -> int:
        assert self.trust.apply(Revoke(HEADER, node, serial, "stolen", LATER_MS)).ok
        return self.interceptor.cut()


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    here = Served()
    server = grpc.aio.server(interceptors=[ErrorInterceptor(), here.interceptor])
    servicer = health.aio.HealthServicer()
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    here.port = server.add_secure_port("127.0.0.1:0", server_credentials(here.identity))
    await server.start()
    try:
        yield here
    finally:
        await server.stop(None)


async def answer(channel: grpc.aio.Channel) -> str:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=20)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def watching(channel: grpc.aio.Channel) -> Any:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    await watch.read()
    return watch


async def test_a_stream_is_cut_when_its_certificate_is_revoked_and_others_go_on() -> None:
    async with served() as here:
        thief, other = material(here.authority, "n3"), material(here.authority, "n2")
        async with here.dial(thief) as of_thief, here.dial(other) as of_other:
            stolen, honest = await watching(of_thief), await watching(of_other)
            assert here.revoke("n3") == 1
            async with asyncio.timeout(20):
                assert await stolen.code() is grpc.StatusCode.UNAUTHENTICATED
            assert "stolen" in await stolen.details()
            assert await answer(of_thief) == "UNAUTHENTICATED"
            assert not honest.done()
            assert await answer(of_other) == "OK"
            assert here.interceptor.cut() == 0
            assert here.refused == ["/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/Check"]


async def test_a_caller_hears_that_it_was_cut_however_often_trust_changes_meanwhile() -> None:
    async with served() as here:
        thief = material(here.authority, "n3")
        async with here.dial(thief) as channel:
            stolen = await watching(channel)
            assert here.revoke("n3") == 1
            for _ in range(10):
                here.interceptor.cut()
                await asyncio.sleep(0)
            async with asyncio.timeout(20):
                assert await stolen.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_call_is_ended_even_if_its_node_is_let_in_again_in_the_same_moment() -> None:
    """As when a log is replayed in which a node was revoked and came back: its log stream has to be opened anew."""
    async with served() as here:
        back = material(here.authority, "n3")
        async with here.dial(back) as channel:
            watch = await watching(channel)
            assert here.revoke("n3") == 1
            assert here.trust.apply(Readmit(HEADER, "n3", back.key_sha256)).ok
            async with asyncio.timeout(20):
                assert await watch.code() is grpc.StatusCode.UNAVAILABLE
            assert await answer(channel) == "OK"


async def test_a_node_comes_back_with_a_key_that_it_was_given_since_and_with_no_other() -> None:
    async with served() as here:
        stolen, fresh = material(here.authority, "n3"), material(here.authority, "n3")
        here.revoke("n3")
        assert not here.gate.may_dial("n3")
        assert here.trust.apply(Readmit(HEADER, "n3", fresh.key_sha256)).ok
        assert here.gate.may_dial("n3")
        async with here.dial(stolen) as former, here.dial(fresh) as present:
            assert (await answer(former), await answer(present)) == ("UNAUTHENTICATED", "OK")


async def test_one_certificate_is_revoked_and_another_one_of_the_same_node_is_not() -> None:
    async with served() as here:
        first, second = material(here.authority, "n3"), material(here.authority, "n3")
        here.revoke("n3", first.serial)
        async with here.dial(first) as former, here.dial(second) as present:
            assert (await answer(former), await answer(present)) == ("UNAUTHENTICATED", "OK")
        assert here.gate.may_dial("n3")


async def test_a_server_comes_to_trust_another_authority_and_to_distrust_the_former_without_a_restart() -> None:
    async with served() as here:
        coming = authority()
        former, renewed = material(here.authority, "n2"), material(coming, "n2")
        both = [here.authority.certificate_der, coming.certificate_der]
        knows_both = renewed.trusting(reversed(both))
        async with here.dial(knows_both) as too_early:
            assert await answer(too_early) == "UNAVAILABLE"
        here.identity.replace(here.identity.material.trusting(both))
        async with here.dial(knows_both) as in_time, here.dial(former) as still:
            assert (await answer(in_time), await answer(still)) == ("OK", "OK")
            rotate(here.trust, here.authority, coming)
            # A connection outlives the handshake, whose authority is trusted no more.
            assert here.interceptor.cut() == 0
            assert (await answer(in_time), await answer(still)) == ("OK", "UNAUTHENTICATED")
        here.identity.replace(material(coming, "n1"))
        async with here.dial(former.trusting(both[:1])) as too_late, here.dial(renewed) as present:
            assert (await answer(too_late), await answer(present)) == ("UNAVAILABLE", "OK")


def rotate(trust: Trust, former: Authority, coming: Authority) -> None:
    pin = sha256(coming.certificate_der).hexdigest()
    for command in (
        BeginRotation(HEADER, former.certificate_der, coming.certificate_der),
        SwitchIssuer(HEADER, pin, ()),
        FinishRotation(HEADER, pin, ()),
    ):
        assert trust.apply(command).ok


@pytest.mark.parametrize("node", ["n1", "n2"])
async def test_everybody_is_let_in_while_nothing_is_revoked(node: str) -> None:
    async with served() as here, here.dial(material(here.authority, node)) as channel:
        assert await answer(channel) == "OK"
        assert here.interceptor.cut() == 0
