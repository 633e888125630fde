"""Following a node: what it says is taken, but not when it knows less than before and has no leader."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc

from weftmesh.client import connect
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc
from weftmesh.ola.v1 import ola_pb2, ola_pb2_grpc
from weftmesh.router.following.following import Following

WAIT_S = 30.0


class Node(ola_pb2_grpc.OlaServiceServicer, mesh_pb2_grpc.MeshServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.status = mesh_pb2.NodeStatus(quorum=True, commit_index=5, applied_index=5)
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
async def served(node: Node, path: Path) -> AsyncIterator[None]:
    server = grpc.aio.server()
    ola_pb2_grpc.add_OlaServiceServicer_to_server(node, server)
    mesh_pb2_grpc.add_MeshServiceServicer_to_server(node, server)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


@asynccontextmanager
async def following(path: Path, listener: Listener, known_revision: int = 0) -> AsyncIterator[Following]:
    one = Following(
        lambda: connect(str(path), timeout_s=5.0, wait=True),
        listener.take,
        listener.heard.set,
        random.Random(1),
        known_revision,
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


async def test_only_members_are_admitted_once_they_are_known(tmp_path: Path) -> None:
    node, listener, path = Node(), Listener(), tmp_path / "api.sock"
    node.status.members.add(name="node1")
    async with following(path, listener) as one:
        assert one.admits("node2"), "nothing is known yet"
        async with served(node, path):
            await asyncio.wait_for(listener.heard.wait(), WAIT_S)
            assert one.admits("node1")
            assert not one.admits("node2")
