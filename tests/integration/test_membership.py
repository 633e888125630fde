"""Nodes that come, leave and are put out, by the commands that people type."""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import pytest
from tests.integration.command_line import Result, done, weftmesh

from weftmesh.board.v1 import board_pb2, board_pb2_grpc
from weftmesh.cli.dev_mesh import DevMesh, dev_mesh, free_ports
from weftmesh.cli.dev_node import DevNode
from weftmesh.mesh.v1 import mesh_pb2, mesh_pb2_grpc, raft_pb2, raft_pb2_grpc
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel
from weftmesh.runtime.identity.founding import identity_store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SETTLE_S = 90.0


@pytest.fixture
async def mesh(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> AsyncIterator[DevMesh]:
    """A mesh of its own for each test: they do not leave it as it was."""
    async with dev_mesh(tmp_path_factory.mktemp("members"), getattr(request, "param", 3)) as running:
        yield running


def new_node(mesh: DevMesh, name: str) -> DevNode:
    """A configured node that belongs to no mesh yet."""
    listen, enroll = (f"127.0.0.1:{port}" for port in free_ports(2))
    node = DevNode(name, mesh.directory / name, listen, enroll)
    node.write_config(fsync=True)
    return node


async def join(mesh: DevMesh, node: DevNode, line: str = "", *options: str) -> Result:
    """Paste a join line on the new node; a fresh one unless it is given."""
    words = shlex.split(line or await join_line(mesh))
    assert words[:2] == ["weftmesh", "join"]
    return await weftmesh(None, "--config", str(node.config_path), *words[1:], *options)


async def join_line(mesh: DevMesh) -> str:
    made = (await weftmesh(mesh.first, "--json", "token", "create")).json()
    return str(made["token"]["join_command"])


async def voters(node: DevNode) -> list[str]:
    listed = (await weftmesh(node, "--json", "members")).json()["members"]
    return [member["name"] for member in listed]


def _voters_of(members: Iterable[mesh_pb2.Member]) -> list[str]:
    return [member.name for member in members if member.role == mesh_pb2.MEMBER_ROLE_VOTER]


async def roles(node: DevNode) -> dict[str, str]:
    listed = (await weftmesh(node, "--json", "members")).json()["members"]
    return {member["name"]: member["role"] for member in listed}


async def until_voters(node: DevNode, wanted: list[str]) -> None:
    """Wait until `node` is in touch with a leader and knows exactly these voters."""
    async with asyncio.timeout(SETTLE_S), node.client() as client:
        while True:
            status = await client.mesh.get_status()
            if status.quorum and _voters_of(status.members) == wanted:
                return
            await asyncio.sleep(0.1)


async def same_board(*nodes: DevNode) -> None:
    """Wait until all have the same board."""
    async with asyncio.timeout(SETTLE_S):
        while True:
            states = [(await weftmesh(node, "--json", "status")).json() for node in nodes]
            if len({(state["revision"], state["state_hash"]) for state in states}) == 1:
                return


async def until_said(node: DevNode, words: str) -> None:
    """Wait until these words are in the node's log."""
    async with asyncio.timeout(SETTLE_S):
        while words not in node.last_words(20_000):  # noqa: ASYNC110, another process's log
            await asyncio.sleep(0.1)


async def leave(node: DevNode) -> None:
    """Leave by the command; returns when the process has ended and its data is set aside."""
    assert f"{node.name} left" in await done(node, "--timeout", "30", "leave")
    assert await node.ended(SETTLE_S), node.last_words()
    assert not (node.directory / "data" / "node.json").exists()
    (kept,) = (node.directory / "data").glob("left-*")
    assert (kept / "node.json").exists()
    assert (kept / "mesh" / "wal").is_dir()


@pytest.mark.parametrize("mesh", [2], indirect=True)
async def test_a_node_joins_by_the_pasted_line_and_a_line_lets_in_one(mesh: DevMesh) -> None:
    await done(mesh.first, "project", "add", "OLD")
    await done(mesh.first, "task", "add", "OLD", "from before")
    line, _keeps_the_port_open = await join_line(mesh), await join_line(mesh)
    third, fourth = new_node(mesh, "node3"), new_node(mesh, "node4")

    joined = await join(mesh, third, line)
    assert joined.code == 0, joined.err
    assert "node3 joined" in joined.out
    third.start()
    try:
        await third.ready()
        await until_voters(mesh.first, ["node1", "node2", "node3"])
        assert await done(third, "task", "add", "OLD", "from node3") == "OLD-2"
        await same_board(mesh.first, mesh.node("node2"), third)

        table = (await done(third, "members")).splitlines()
        assert [row.split()[0] for row in table] == ["NODE", "node1", "node2", "node3"]
        assert third.listen in table[3]
        assert "self" in table[3]
        assert sum("leader" in row for row in table) == 1
    finally:
        await third.stop()

    refused = await join(mesh, fourth, line)
    assert refused.code == 6, refused.err
    assert "token create" in refused.err
    assert not (fourth.directory / "data" / "node.json").exists()
    assert await voters(mesh.first) == ["node1", "node2", "node3"]


@pytest.mark.parametrize("mesh", [1], indirect=True)
async def test_an_observer_is_promoted_and_demoted(mesh: DevMesh) -> None:
    await done(mesh.first, "project", "add", "SEEN")
    seer = new_node(mesh, "node2")
    joined = await join(mesh, seer, "", "--observer")
    assert joined.code == 0, joined.err
    seer.start()
    try:
        await seer.ready()
        assert await done(seer, "task", "add", "SEEN", "by an observer") == "SEEN-1"
        assert await roles(mesh.first) == {"node1": "voter", "node2": "observer"}
        assert "observer" in (await done(mesh.first, "members")).splitlines()[2]
        refused = await weftmesh(mesh.first, "members", "demote", "node1")
        assert refused.code != 0
        assert "last voter" in refused.err

        assert "promoted" in await done(mesh.first, "members", "promote", "node2")
        assert await roles(mesh.first) == {"node1": "voter", "node2": "voter"}
        assert "demoted" in await done(seer, "members", "demote", "node2")
        await until_voters(mesh.first, ["node1"])
        await seer.stop()
        assert await done(mesh.first, "task", "add", "SEEN", "without the observer") == "SEEN-2"
        seer.start()
        await seer.ready()
        await same_board(mesh.first, seer)
        assert await roles(seer) == {"node1": "voter", "node2": "observer"}, "nobody but a person promotes it again"
    finally:
        await seer.stop()


async def test_a_line_that_was_mangled_is_found_before_anybody_is_called(mesh: DevMesh) -> None:
    line = await join_line(mesh)
    wrong_pin = line[:-1] + ("0" if line[-1] != "0" else "1")
    node = new_node(mesh, "node4")

    for mangled in (line[:-10], wrong_pin):
        refused = await join(mesh, node, mangled)
        assert refused.code != 0
        assert "Traceback" not in refused.err
        assert not (node.directory / "data" / "node.json").exists()

    assert (await join(mesh, node, line)).code == 0, "the token is still good: its secret was not sent"


async def test_a_follower_leaves_and_comes_back_as_a_new_node(mesh: DevMesh) -> None:
    leader = await mesh.settled()
    name = next(name for name in ("node3", "node2") if name != leader)
    leaver, others = mesh.node(name), sorted(set(mesh.nodes) - {name})
    await done(leaver, "project", "add", "STAYS")

    await leave(leaver)

    for other in others:
        await until_voters(mesh.node(other), others)
    assert await done(mesh.first, "task", "add", "STAYS", "meanwhile") == "STAYS-1"

    again = await join(mesh, leaver)
    assert again.code == 0, again.err
    leaver.start()
    await leaver.ready()
    await until_voters(mesh.first, ["node1", "node2", "node3"])
    assert await done(leaver, "task", "add", "STAYS", "back again") == "STAYS-2"
    await same_board(*mesh.nodes.values())


async def test_the_leader_leaves_and_the_others_go_on(mesh: DevMesh) -> None:
    for _ in range(10):
        if (leader := await mesh.settled()) != mesh.first.name:
            break
        await mesh.restart(leader)  # the authority stays
    others = sorted(set(mesh.nodes) - {leader})
    await done(mesh.node(leader), "project", "add", "STAYS")

    await leave(mesh.node(leader))

    for other in others:
        await until_voters(mesh.node(other), others)
    assert await done(mesh.node(others[0]), "task", "add", "STAYS", "one") == "STAYS-1"
    assert await done(mesh.node(others[1]), "task", "add", "STAYS", "two") == "STAYS-2"
    await same_board(*(mesh.node(other) for other in others))


@pytest.mark.parametrize("mesh", [2], indirect=True)
async def test_a_removed_node_is_turned_away_and_the_last_one_stays(mesh: DevMesh) -> None:
    unknown = await weftmesh(mesh.first, "members", "rm", "node9")
    assert unknown.code == 7
    itself = await weftmesh(mesh.first, "members", "rm", "node1")
    assert itself.code == 1
    assert "weftmesh leave" in itself.err

    for _ in range(5):  # removing the leader is the harder case, but either may win an election of two
        if await mesh.settled() == "node2":
            break
        await mesh.restart("node1")
    assert "node2 was removed" in await done(mesh.first, "--timeout", "30", "members", "rm", "node2")

    await until_voters(mesh.first, ["node1"])
    await done(mesh.first, "project", "add", "AFTER")
    identity = NodeIdentity(identity_store(mesh.node("node2").directory / "data").load())
    async with open_channel(identity, "node1", mesh.first.listen) as channel:
        await expect_denied(board_pb2_grpc.BoardServiceStub(channel).ListProjects(board_pb2.ListProjectsRequest()))
        await expect_denied(mesh_pb2_grpc.MeshServiceStub(channel).GetStatus(mesh_pb2.GetStatusRequest()))

    await mesh.restart("node2")
    await until_said(mesh.node("node2"), "join with a new token")
    await until_voters(mesh.first, ["node1"])

    last = await weftmesh(mesh.first, "leave")
    assert last.code == 1
    assert "last voter" in last.err
    assert await done(mesh.first, "task", "add", "AFTER", "still here") == "AFTER-1"


@pytest.mark.slow
async def test_who_has_the_authority_is_not_removed_while_it_answers(mesh: DevMesh) -> None:
    node2 = mesh.node("node2")
    for options in (("--dry-run",), ()):
        refused = await weftmesh(node2, "--timeout", "30", "members", "rm", "node1", *options)
        assert refused.code == 1
        assert "identity/ca.key" in refused.err
        assert "weftmesh cert revoke node1 --remove" in refused.err
    await until_voters(node2, sorted(mesh.nodes))
    await done(node2, "cert", "renew")
    await mesh.kill("node1")
    await mesh.settled()
    await done(node2, "--timeout", "30", "members", "rm", "node1")


@pytest.mark.slow
async def test_a_removed_node_cannot_lead_those_that_were_started_since(mesh: DevMesh) -> None:
    await mesh.kill("node3", signal.SIGTERM)
    await done(mesh.first, "--timeout", "30", "members", "rm", "node3")
    await until_voters(mesh.first, ["node1", "node2"])
    await mesh.restart("node1")
    await until_voters(mesh.first, ["node1", "node2"])

    async with mesh.first.client() as client:
        before = await client.mesh.get_status()
        claim = raft_pb2.AppendEntries(prev_index=before.commit_index, leader_address="127.0.0.1:1", round=1)
        message = raft_pb2.RaftMessage(term=before.term + 1_000, append_entries=claim)

        async def batches() -> AsyncIterator[raft_pb2.RaftBatch]:
            yield raft_pb2.RaftBatch(messages=[message])
            await asyncio.sleep(5)

        identity = NodeIdentity(identity_store(mesh.node("node3").directory / "data").load())
        async with open_channel(identity, "node1", mesh.first.listen) as channel:
            stub: Any = raft_pb2_grpc.RaftServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError):
                async for _ in stub.Exchange(batches()):
                    pass
        assert (await client.mesh.get_status()).term < message.term
    assert "no longer; was it removed" in mesh.first.last_words(20_000)


@pytest.mark.slow
@pytest.mark.parametrize("mesh", [4], indirect=True)
async def test_a_node_that_joined_again_leads_one_that_only_saw_it_go(mesh: DevMesh) -> None:
    second, leaver = mesh.node("node2"), mesh.node("node4")
    await leave(leaver)
    await until_voters(second, ["node1", "node2", "node3"])
    await mesh.kill("node2", signal.SIGTERM)

    again = await join(mesh, leaver)
    assert again.code == 0, again.err
    leaver.start()
    await leaver.ready()
    await until_voters(mesh.first, sorted(mesh.nodes))
    for _ in range(20):
        if (leader := await leader_of(mesh.first)) == "node4":
            break
        await mesh.restart(leader)
    assert leader == "node4"

    second.start()
    await second.ready()
    await until_voters(second, sorted(mesh.nodes))
    assert await leader_of(second) == "node4"


async def leader_of(node: DevNode) -> str:
    """Whom a node follows, once it does."""
    async with asyncio.timeout(SETTLE_S), node.client() as client:
        while not (leader := (await client.mesh.get_status()).leader):  # noqa: ASYNC110, another process's state
            await asyncio.sleep(0.1)
    return leader


async def expect_denied(call: grpc.aio.UnaryUnaryCall[object, object]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "member" in (refused.value.details() or "")


@pytest.mark.parametrize("mesh", [1], indirect=True)
async def test_a_node_that_has_a_mesh_does_not_join_another(mesh: DevMesh) -> None:
    before = (mesh.first.directory / "data" / "node.json").read_bytes()

    refused = await join(mesh, mesh.first)

    assert refused.code == 5, refused.err
    assert (mesh.first.directory / "data" / "node.json").read_bytes() == before
