"""The person who adds, removes, moves and replaces nodes, and hands leadership over."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tests.simulation.node import Node
from tests.simulation.ports import Calls

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
        """Add, remove or move some node."""
        simulation, rng = self._simulation, self._world.rng
        voters = simulation.voters()
        name = rng.choice(sorted(simulation.nodes))
        if name in voters and rng.random() < 0.3:
            self._moves += 1
            self.set_voter(name, f"{name}:{self._moves}")
        elif name not in voters:
            self.set_voter(name, f"{name}:1")
        elif len(voters) > SMALLEST:
            self.set_voter(name, None)

    def set_voter(self, name: str, address: str | None) -> None:
        """Have a node vote, or not."""
        up = [node for _, node in sorted(self._simulation.nodes.items()) if node.up]
        if up:
            wish = f"{name} at {address}" if address else f"no {name}"
            self._ask(self._world.rng.choice(up), wish, lambda engine: _change(engine, name, address))

    def replace(self, lost: str, substitute: str) -> None:
        """Put a new node into the place of one that will never come back, however long it takes."""
        voters = self._simulation.voters()
        if lost in voters:
            self.set_voter(lost, None)
        elif substitute not in voters:
            self.set_voter(substitute, f"{substitute}:1")
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


def _change(engine: Any, name: str, address: str | None) -> Coroutine[Any, Any, Any]:
    if hasattr(engine, "change_member"):
        from weftmesh.agent.raft.engine import MemberRole

        role = MemberRole.VOTER if address is not None else None
        return engine.change_member(name, role, address, TIMEOUT_S)  # type: ignore[no-any-return]
    return engine.change_voter(name, address, TIMEOUT_S)  # type: ignore[no-any-return]
