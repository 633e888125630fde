"""Who raises the level, and when: every member has to support the next one, now, and only whoever leads asks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from tests.fakes.raft_engine import InMemoryEngine

from weftmesh.agent.board.homes import Home, Homes
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.features import Feature, Features
from weftmesh.agent.features.census import ASK_S, Support
from weftmesh.agent.features.raising import Raising
from weftmesh.agent.raft.engine import MemberRole, Role
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import PreconditionError
from weftmesh.mesh.v1 import mesh_pb2

OLD = mesh_pb2.NodeStatus(version="0.1.0")


class Told:
    """Implements `Asks`: what a test says that members support; those it says nothing of support level 2."""

    def __init__(self) -> None:
        self.levels: dict[str, int] = {}
        self.asked: list[list[str]] = []

    async def ask(self, members: Mapping[str, str], timeout_s: float = ASK_S) -> list[Support]:
        self.asked.append(sorted(members))
        await asyncio.sleep(0)
        return [Support(name, self.levels.get(name, 2), OLD) for name in sorted(members)]


class Node:
    """A node that leads three voters and an observer."""

    def __init__(self) -> None:
        clock = HybridClock()
        self.mesh_machine, self.local_machine = LogMachines("mesh", clock), LogMachines("node:n1", clock)
        self.engine, self.local_engine = InMemoryEngine(self.mesh_machine), InMemoryEngine(self.local_machine)
        self.mesh = Home("mesh", self.mesh_machine, self.engine, 10)
        self.homes = Homes(self.mesh, Home("node:n1", self.local_machine, self.local_engine, 10))
        self.told = Told()
        self.features = Features(self.mesh, self.told)
        self.raising = Raising("n1", self.homes, self.features, clock)

    async def with_members(self) -> Node:
        for name, role in (("n2", MemberRole.VOTER), ("n3", MemberRole.VOTER), ("n4", MemberRole.OBSERVER)):
            await self.engine.change_member(name, role, f"{name}:1", 1)
        return self

    async def look(self) -> int:
        """Let it try for a moment; returns the mesh's level."""
        task = asyncio.create_task(self.raising.run())
        for _ in range(50):
            await asyncio.sleep(0)
        task.cancel()
        return self.features.level


async def test_a_leader_raises_the_level_when_all_support_it_and_its_own_log_follows() -> None:
    node = await Node().with_members()

    await asyncio.wait_for(node.raising.run(), 5)

    assert (node.features.level, node.local_machine.feature_level) == (2, 2)
    assert node.told.asked == [["n1", "n2", "n3", "n4"]]


@pytest.mark.parametrize("lags", ["n2", "n4"])
@pytest.mark.parametrize("level", [0, 1], ids=["does not answer", "runs an earlier build"])
async def test_one_member_that_lags_holds_the_level_be_it_an_observer(lags: str, level: int) -> None:
    node = await Node().with_members()
    node.told.levels[lags] = level

    assert await node.look() == 1
    assert (node.engine.proposals, node.local_machine.feature_level) == ([], 1)


async def test_whoever_lagged_is_asked_alone_until_it_has_caught_up() -> None:
    node = await Node().with_members()
    node.told.levels["n3"] = 1
    await node.look()
    await node.look()
    node.told.levels.clear()

    assert await node.look() == 2
    assert node.told.asked == [["n1", "n2", "n3", "n4"], ["n3"], ["n3"], ["n1", "n2", "n3", "n4"]]


async def test_a_member_that_was_removed_holds_nothing() -> None:
    node = await Node().with_members()
    node.told.levels["n3"] = 0
    await node.look()
    await node.engine.change_member("n3", None, None, 1)

    assert await node.look() == 2


async def test_a_follower_raises_nothing() -> None:
    node = await Node().with_members()
    node.engine.role = Role.FOLLOWER

    assert await node.look() == 1
    assert node.told.asked == []


async def test_members_that_change_while_they_are_asked_are_asked_again() -> None:
    node = await Node().with_members()

    class Joins(Told):
        async def ask(self, members: Mapping[str, str], timeout_s: float = ASK_S) -> list[Support]:
            answers = await super().ask(members, timeout_s)
            if "n5" not in members:
                await node.engine.change_member("n5", MemberRole.OBSERVER, "n5:1", 1)
            return answers

    node.features.census = joins = Joins()
    joins.levels["n5"] = 1

    assert await node.look() == 1
    assert node.engine.proposals == []


async def test_a_command_of_a_later_level_is_refused_with_the_names_of_those_that_lag() -> None:
    node = await Node().with_members()
    node.told.levels |= {"n2": 1, "n4": 0}

    with pytest.raises(PreconditionError, match=r"n2 runs 0.1.0 \(level 1\), n4 does not answer") as caught:
        await node.features.require(Feature.ROLES)

    assert caught.value.reason == "FEATURE_NOT_READY"
    assert caught.value.metadata == {"feature": "ROLES", "level": "1", "needed": "2", "lagging": "n2,n4"}
    assert "weftmesh upgrade check" in str(caught.value)


async def test_where_nobody_lags_any_more_it_says_that_the_level_comes_by_itself() -> None:
    node = await Node().with_members()

    with pytest.raises(PreconditionError, match="raises the level within seconds"):
        await node.features.require(Feature.TRUST)


async def test_at_its_level_a_command_is_let_through_without_a_question() -> None:
    node = await Node().with_members()
    await asyncio.wait_for(node.raising.run(), 5)
    node.told.asked.clear()

    await node.features.require(Feature.ROLES)

    assert node.told.asked == []


async def test_a_node_that_could_not_take_the_log_in_does_not_join() -> None:
    node = await Node().with_members()
    node.features.check_joiner("n9", 0)
    await asyncio.wait_for(node.raising.run(), 5)

    with pytest.raises(PreconditionError, match="install the version on n9") as caught:
        node.features.check_joiner("n9", 0)

    assert caught.value.reason == "UPGRADE_NEEDED"
    node.features.check_joiner("n9", 2)


async def test_a_level_that_the_log_reaches_while_members_are_asked_is_not_the_start_of_another_one() -> None:
    # A node that leads again after a start has its own earlier entry still to apply.
    before, node = await Node().with_members(), await Node().with_members()
    await before.look()

    class Overtaken(Told):
        async def ask(self, members: Mapping[str, str], timeout_s: float = ASK_S) -> list[Support]:
            node.mesh_machine.apply(1, before.engine.proposals[0], 0, level=2)
            return await super().ask(members, timeout_s)

    node.features.census = Overtaken()

    assert await node.look() == 2
    assert node.engine.proposals == []
