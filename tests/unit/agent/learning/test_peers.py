"""A connection to a member lasts as long as somebody uses it, under the certificate that is in force."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from tests.fakes.certificates import CertificateAuthority
from tests.unit.agent.learning.bench import BenchNode, bench, identity_of

from weftmesh.agent.learning.gate import Gate
from weftmesh.agent.learning.peers import Peers
from weftmesh.agent.learning.replica import Replica
from weftmesh.agent.raft.engine import MemberRole
from weftmesh.core.errors import ForbiddenError, NodeUnreachableError, OverloadedError
from weftmesh.learning.v1 import learning_pb2
from weftmesh.runtime.identity.credentials import open_channel

SHOW = learning_pb2.ShowCertificateRequest()
IDLE_S = 0.1


class Dialler:
    """Opens real channels, and counts them."""

    def __init__(self, node: BenchNode) -> None:
        self._node = node
        self.dialled: list[str] = []

    def __call__(self, node: str, address: str) -> grpc.aio.Channel:
        self.dialled.append(node)
        return open_channel(self._node.identity, node, address)


@pytest_asyncio.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[list[BenchNode]]:
    async with bench(tmp_path) as running:
        yield running


def peers_of(node: BenchNode) -> tuple[Peers, Dialler]:
    dialler = Dialler(node)
    return Peers(node.identity, Replica(node.homes.mesh), dialler, IDLE_S), dialler


async def show(peers: Peers, node: str) -> bytes:
    async with peers.stub(node) as stub:
        return bytes((await stub.ShowCertificate(SHOW, timeout=10)).chain)


async def test_calls_share_a_connection_which_is_closed_when_it_is_quiet(nodes: list[BenchNode]) -> None:
    peers, dialler = peers_of(nodes[0])
    shown = await asyncio.gather(*(show(peers, "n2") for _ in range(5)))
    assert set(shown) == {nodes[1].identity.material.certificate_pem}
    assert dialler.dialled == ["n2"]
    await asyncio.sleep(IDLE_S * 3)
    assert peers.open_count == 0
    assert await show(peers, "n2")
    assert dialler.dialled == ["n2", "n2"]
    await peers.close()


async def test_a_connection_in_use_is_kept(nodes: list[BenchNode]) -> None:
    peers, _ = peers_of(nodes[0])
    async with peers.stub("n2") as stub:
        await asyncio.sleep(IDLE_S * 3)
        assert (await stub.ShowCertificate(SHOW, timeout=10)).chain
        assert peers.open_count == 1
    await peers.close()


async def test_a_member_that_moved_is_dialled_at_its_new_address(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    peers, dialler = peers_of(first)
    first.engine.move("n2", "127.0.0.1:9")
    with pytest.raises(NodeUnreachableError):
        await show(peers, "n2")
    first.engine.move("n2", second.address)
    assert await show(peers, "n2")
    assert dialler.dialled == ["n2", "n2"]
    await peers.close()


async def test_a_renewed_certificate_is_taken_up(tmp_path: Path) -> None:
    authority = CertificateAuthority()
    async with bench(tmp_path / "mesh", authority=authority) as (first, *_):
        peers, dialler = peers_of(first)
        assert await show(peers, "n2")
        first.identity.replace(identity_of(authority.node("n1")).material)
        assert await show(peers, "n2")
        assert dialler.dialled == ["n2", "n2"]
        await peers.close()


async def test_only_members_are_dialled_and_answered(nodes: list[BenchNode]) -> None:
    first, second, _ = nodes
    peers, dialler = peers_of(first)
    with pytest.raises(ForbiddenError) as refused:
        await show(peers, "n9")
    assert (refused.value.reason, dialler.dialled) == ("NOT_A_MEMBER", [])
    await second.engine.change_member("n1", None, None, 1.0)
    with pytest.raises(ForbiddenError) as unheard:
        await show(peers, "n2")
    assert unheard.value.reason == "NOT_A_MEMBER"
    await second.engine.change_member("n1", MemberRole.VOTER, first.address, 1.0)
    assert await show(peers, "n2")
    await peers.close()


async def test_a_node_of_another_mesh_gets_no_answer(nodes: list[BenchNode]) -> None:
    stranger = identity_of(CertificateAuthority().node("n2"))
    async with open_channel(stranger, "n1", nodes[0].address) as channel:
        call: Any = channel.unary_unary("/weftmesh.learning.v1.LearningPeerService/ShowCertificate")
        with pytest.raises(grpc.aio.AioRpcError):
            await call(b"", timeout=5)


async def test_a_gate_lets_some_through_and_turns_away_who_would_wait_behind_too_many() -> None:
    gate = Gate(inside_max=1, waiting_max=1)
    order: list[str] = []

    async def wait() -> None:
        async with gate:
            order.append("second")

    async with gate:
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            async with gate:
                order.append("third")
        order.append("first")
    await waiting
    assert order == ["first", "second"]
