"""What goes wrong. Each fault is an event of its own; most end by themselves after a while."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tests.simulation.network import Link
from tests.simulation.node import Node

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

LONG_ENOUGH_S = 0.6
"""A clock that jumps by this has seen an election time pass."""


class Faults:
    """Draws who is hit, and how hard, from the world's dice."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._world = simulation.world
        self._network = simulation.network

    def happen(self, kind: str) -> None:
        """Let one fault of a kind happen."""
        self._world.counts[kind] += 1
        getattr(self, kind)()

    # machines

    def power_cut(self) -> None:
        """At once."""
        for node in self._some_up():
            node.power_cut()

    def power_cut_soon(self) -> None:
        """In the middle of one of the next operations."""
        for node in self._some_up():
            node.operations_left = self._world.rng.randint(0, 12)

    def kill(self) -> None:
        """The process, not the machine."""
        for node in self._some_up():
            node.kill()

    def freeze(self) -> None:
        """A process does nothing for a while, and its clock goes on."""
        for node in self._some_up():
            node.frozen_until_s = self._world.now_s + self._world.rng.random() * 1.5
            self._world.say(node.name, "is frozen until", node.frozen_until_s)

    def slow_disk(self) -> None:
        """Syncs and snapshots take long, until another such event."""
        for node in self._some_up():
            node.sync_s = self._world.rng.choice((0.0005, 0.005, 0.05, 0.3))
            node.job_s = self._world.rng.choice((0.001, 0.05, 0.5))

    def damage(self) -> None:
        """A bit of what was synced flips, is found at the next start, and the node is replaced for good.

        Only one node ever: two lost disks may be a lost majority.
        """
        simulation = self._simulation
        voters = simulation.voters()
        if simulation.invariants.expects_damage or len(voters) < 3:
            return
        for node in self._some_up():
            simulation.invariants.expects_damage.add(node.name)
            node.kill()
            node.disk.damage(node)
            self._world.after(0.2, lambda node=node: simulation.replace(node))  # type: ignore[misc]

    # clocks

    def clock_jump(self) -> None:
        """Forward, as after a pause of the virtual machine."""
        for node in self._some_up():
            node.clock.jump(self._world.rng.random() * 2)
            node.clock_changed()

    def clock_rate(self) -> None:
        """A clock goes wrong by up to a quarter."""
        for node in self._some_up():
            node.clock.set_rate(self._world.rng.uniform(0.8, 1.25))
            node.clock_changed()

    # network

    def reset(self) -> None:
        """A stream breaks."""
        self._network.reset(self._some_link())

    def slow_link(self) -> None:
        """One way takes long, until it does not."""
        link = self._some_link()
        self._network.slow[link] = self._world.rng.choice((0.02, 0.1, 0.4))

        def recover() -> None:
            self._network.slow.pop(link, None)

        self._world.after(self._world.rng.random() * 2, recover)

    def one_way(self) -> None:
        """One way is closed, the way back is not."""
        self.close([self._some_link()])

    def partition(self) -> None:
        """Two groups, one node alone, or two groups with one node that both can reach."""
        names = self._names()
        rng = self._world.rng
        group = set(rng.sample(names, rng.randint(1, len(names) // 2)))
        bridge = {rng.choice(names)} if rng.random() < 0.25 else set()
        rest = set(names) - group
        self.close((a, b) for a in names for b in names if (a in group) != (b in group) and not {a, b} & bridge)
        self._world.say("partition", sorted(group), sorted(rest), "bridge", sorted(bridge))

    def close(self, links: Iterable[Link]) -> None:
        """Close ways for a while."""
        closed = list(links)
        self._network.block(closed)
        self._world.after(0.05 + self._world.rng.random() * 2.5, lambda: self._network.open(closed))

    def heal(self) -> None:
        """Everything is open again."""
        self._network.open(sorted(self._network.blocked))
        self._network.slow.clear()

    # people and adversaries

    def hand_over(self) -> None:
        """The leader is asked to let somebody else lead."""
        for node in self._simulation.leaders():
            self._simulation.operator.hand_over(node)

    def change_voters(self) -> None:
        """Somebody adds, removes or moves a node."""
        self._simulation.operator.change()

    def snapshot(self) -> None:
        """A node takes a snapshot now."""
        for node in self._some_up():
            node.disk.take_snapshot(node)

    def strike(self, why: str, leader: Node) -> None:
        """The adversary: a leader that has just been elected, has written or has committed is deposed."""
        self._world.say("the adversary strikes", leader.name, "which has", why)
        self._world.counts["strikes"] += 1
        if self._world.chance(0.3):
            leader.power_cut()
        else:
            self.depose()

    def depose(self) -> None:
        """Everybody but the leader believes that an election time has passed, or nobody can hear the leader."""
        for leader in self._simulation.leaders():
            self._world.say("depose", leader.name)
            others = [node for node in self._simulation.nodes.values() if node is not leader and node.up]
            if self._world.chance(0.5):
                self.close((leader.name, node.name) for node in others if self._world.chance(0.8))
            hurried = self._world.rng.sample(others, self._world.rng.randint(0, len(others)))
            for node in hurried:
                node.clock.jump(LONG_ENOUGH_S)
                node.clock_changed()

    # who and where

    def _names(self) -> list[str]:
        return sorted(self._simulation.nodes)

    def _some_up(self) -> list[Node]:
        """One node that runs, if any does."""
        up = [node for _, node in sorted(self._simulation.nodes.items()) if node.up]
        return [self._world.rng.choice(up)] if up else []

    def _some_link(self) -> Link:
        one, other = self._world.rng.sample(self._names(), 2)
        return one, other
