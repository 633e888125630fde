"""The person who adds, removes, moves and replaces nodes, and hands leadership over."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tests.simulation.node import Node
from tests.simulation.ports import Calls

from weftmesh.agent.raft.engine import MemberRole
from weftmesh.core.errors import NoQuorumError, OverloadedError, PreconditionError, UnknownOutcomeError

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

TIMEOUT_S = 1.5
RETRY_S = 0.25
SMALLEST = 2
"""Voters that random removals leave."""

Wish = Callable[[Calls], Coroutine[Any, Any, Any]]


class Operator:
    """Asks any node that runs."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._world = simulation.world
        self._moves = 1

    def hand_over(self, node: Node) -> None:
        """Ask a node to let somebody else lead."""
        self._ask(node, "hand over", lambda engine: engine.transfer_leadership(TIMEOUT_S))

    def change(self) -> None:
        """Add, promote, demote, remove or move some node, or two of them at once."""
        for _ in range(self._world.rng.choice((1, 1, 2))):
            self._change_one()

    def _change_one(self) -> None:
        simulation, rng = self._simulation, self._world.rng
        voters = simulation.voters()
        name = rng.choice(sorted(simulation.nodes))
        if name in voters and rng.random() < 0.3:
            self._moves += 1
            self.set_member(name, MemberRole.VOTER, f"{name}:{self._moves}")
        elif name not in voters:
            self.set_member(name, rng.choice((MemberRole.VOTER, MemberRole.VOTER, MemberRole.OBSERVER, None)))
        elif len(voters) > SMALLEST:
            self.set_member(name, rng.choice((MemberRole.OBSERVER, None)))

    def set_member(self, name: str, role: MemberRole | None, address: str = "") -> None:
        """Have a node vote, watch, or be none of the cluster's."""
        up = [node for _, node in sorted(self._simulation.nodes.items()) if node.up]
        if up:
            at = address or f"{name}:1"
            wish = f"{name} as {role} at {at}"
            self._ask(self._world.rng.choice(up), wish, lambda calls: calls.change_member(name, role, at, TIMEOUT_S))

    def enlist(self, name: str) -> None:
        """Have a new node vote, however often that has to be asked for."""
        if name not in self._simulation.voters():
            self.set_member(name, MemberRole.VOTER)
            self._world.after(RETRY_S, lambda: self.enlist(name))

    def replace(self, lost: str, substitute: str) -> None:
        """Put a new node into the place of one that will never come back, however long it takes."""
        voters = self._simulation.voters()
        if lost in voters:
            self.set_member(lost, None)
        elif substitute not in voters:
            self.set_member(substitute, MemberRole.VOTER)
        else:
            self._world.counts["nodes replaced"] += 1
            return
        self._world.after(RETRY_S, lambda: self.replace(lost, substitute))

    def _ask(self, node: Node, what: str, wish: Wish) -> None:
        core, loop = node.core, node.loop
        if core is None or loop is None:
            return
        self._world.say("ask", node.name, "for", what)

        async def wait() -> None:
            try:
                answer = await wish(core.engine)
            except (NoQuorumError, OverloadedError, PreconditionError, UnknownOutcomeError) as error:
                self._world.say(node.name, "did not do", what, error)
            else:
                self._world.say(node.name, "did", what, answer)
                self._world.counts["wishes granted"] += 1

        def begin() -> None:
            loop.create_task(wait())

        node.act(begin)
