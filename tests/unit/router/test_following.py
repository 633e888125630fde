"""Following a node: what it says is taken, but not when it knows less than before and has no leader."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
import pytest

from weftmesh.client import connect
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc, trust_pb2, trust_pb2_grpc
from weftmesh.ola.v1 import ola_pb2, ola_pb2_grpc
from weftmesh.router.following.following import Following
from weftmesh.router.following.standing import FILE_NAME, Standing

WAIT_S = 30.0


class Node(
    ola_pb2_grpc.OlaServiceServicer,  # type: ignore[misc]  # these are generated, and untyped
    mesh_pb2_grpc.MeshServiceServicer,  # type: ignore[misc]
    trust_pb2_grpc.TrustServiceServicer,  # type: ignore[misc]
):
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.status = mesh_pb2.NodeStatus(quorum=True, commit_index=5, applied_index=5)
        self.certificates = trust_pb2.CertificatesView()
        self.revision = 9
        self.asked: list[int] = []

    async def WatchAgreements(  # noqa: N802
        self, request: ola_pb2.WatchAgreementsRequest, context: object
    ) -> AsyncIterator[ola_pb2.AgreementsChange]:
        self.asked.append(request.after_revision)
        everything = not request.after_revision or request.after_revision > self.revision
        yield ola_pb2.AgreementsChange(revision=self.revision, everything=everything)
        await asyncio.Event().wait()

    async def GetStatus(  # noqa: N802
        self, request: mesh_pb2.GetStatusRequest, context: object
    ) -> mesh_pb2.NodeStatus:
        return self.status

    async def GetCertificates(  # noqa: N802
        self, request: trust_pb2.GetCertificatesRequest, context: object
    ) -> trust_pb2.CertificatesView:
        return self.certificates


class Listener:
    """What a router does with what it hears."""

    def __init__(self) -> None:
        self.revisions: list[int] = []
        self.some = asyncio.Event()
        self.heard = asyncio.Event()

    async def take(self, change: ola_pb2.AgreementsChange) -> None:
        self.revisions.append(change.revision)
        self.some.set()


@asynccontextmanager
async def served(node: Node, path: Path, *, knows_trust: bool = True) -> AsyncIterator[None]:
    server = grpc.aio.server()
    ola_pb2_grpc.add_OlaServiceServicer_to_server(node, server)
    mesh_pb2_grpc.add_MeshServiceServicer_to_server(node, server)
    if knows_trust:
        trust_pb2_grpc.add_TrustServiceServicer_to_server(node, server)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


@asynccontextmanager
async def following(
    path: Path, listener: Listener, known_revision: int = 0, standing: Standing | None = None
) -> AsyncIterator[Following]:
    one = Following(
        lambda: connect(str(path), timeout_s=5.0, wait=True),
        listener.take,
        listener.heard.set,
        random.Random(1),
        known_revision,
        standing,
    )
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_node_that_knows_less_and_has_no_leader_is_not_believed_until_it_has_one(tmp_path: Path) -> None:
    node, listener, path = Node(), Listener(), tmp_path / "api.sock"
    node.status.quorum = False
    async with served(node, path), following(path, listener, known_revision=100):
        async with asyncio.timeout(WAIT_S):
            while len(node.asked) < 3:  # noqa: ASYNC110, the node is asked again and again
                await asyncio.sleep(0.01)
        assert listener.revisions == []
        assert not listener.heard.is_set()
        node.status.quorum = True
        await asyncio.wait_for(listener.some.wait(), WAIT_S)
        assert listener.revisions == [9]


async def test_a_node_that_is_back_is_asked_for_what_is_new(tmp_path: Path) -> None:
    node, listener, path = Node(), Listener(), tmp_path / "api.sock"
    async with following(path, listener) as one:
        async with served(node, path):
            await asyncio.wait_for(listener.heard.wait(), WAIT_S)
            assert one.client is not None
        listener.some.clear()
        node.revision = 12
        async with served(node, path):
            await asyncio.wait_for(listener.some.wait(), WAIT_S)
    assert listener.revisions == [9, 12]
    assert node.asked == [0, 9]


async def test_whose_certificates_are_good_is_heard_with_the_status(tmp_path: Path) -> None:
    node, listener, path = Node(), Listener(), tmp_path / "api.sock"
    node.status.members.add(name="node1")
    node.certificates.revocations.add(node="node2", reason="lost")
    heard = Heard(tmp_path)
    async with served(node, path), following(path, listener, standing=heard):
        await asyncio.wait_for(heard.some.wait(), WAIT_S)
    kept = json.loads((tmp_path / FILE_NAME).read_bytes())
    assert kept["members"] == ["node1"]
    assert [one["node"] for one in kept["revoked"]] == ["node2"]


async def test_a_node_from_before_revocations_is_heard_and_says_who_is_a_member(tmp_path: Path) -> None:
    node, listener, path = Node(), Listener(), tmp_path / "api.sock"
    node.status.members.add(name="node1")
    heard = Heard(tmp_path)
    async with served(node, path, knows_trust=False), following(path, listener, standing=heard):
        await asyncio.wait_for(listener.heard.wait(), WAIT_S)
        await asyncio.wait_for(heard.some.wait(), WAIT_S)
    assert json.loads((tmp_path / FILE_NAME).read_bytes())["members"] == ["node1"]


@pytest.mark.parametrize("again", [False, True], ids=["same router", "router that began again"])
def test_a_node_that_began_again_and_knows_less_changes_nobodys_standing(tmp_path: Path, again: bool) -> None:
    status = mesh_pb2.NodeStatus(quorum=True, commit_index=5, applied_index=5)
    status.members.add(name="node1")
    certificates = trust_pb2.CertificatesView()
    certificates.revocations.add(node="node2", reason="lost")
    standing = Standing(tmp_path)
    standing.hear(status, certificates)
    before = (tmp_path / FILE_NAME).read_bytes()
    if again:
        standing = Standing(tmp_path)
    behind = mesh_pb2.NodeStatus(quorum=False, commit_index=3, applied_index=3)
    standing.hear(behind, trust_pb2.CertificatesView())
    assert (tmp_path / FILE_NAME).read_bytes() == before
    behind.quorum, behind.commit_index = True, 9
    standing.hear(behind, trust_pb2.CertificatesView())
    assert (tmp_path / FILE_NAME).read_bytes() == before
    behind.applied_index = 9
    behind.members.add(name="node3")
    standing.hear(behind, trust_pb2.CertificatesView())
    kept = json.loads((tmp_path / FILE_NAME).read_bytes())
    assert (kept["members"], kept["revoked"]) == (["node3"], [])


def test_a_node_without_a_leader_whose_log_says_as_much_as_before_is_heard(tmp_path: Path) -> None:
    standing, status = Standing(tmp_path), mesh_pb2.NodeStatus(quorum=True, commit_index=5, applied_index=5)
    status.members.add(name="node2")
    standing.hear(status, trust_pb2.CertificatesView())
    alone = mesh_pb2.NodeStatus(quorum=False, commit_index=8, applied_index=7)
    alone.members.add(name="node1")
    standing.hear(alone, trust_pb2.CertificatesView())
    assert json.loads((tmp_path / FILE_NAME).read_bytes())["members"] == ["node1"]


class Heard(Standing):
    """Says when it has heard."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.some = asyncio.Event()
        self.on_change(self.some.set)
