"""One seed: a cluster, a schedule of faults, and the end, at which everything must be well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tests.simulation.clients import Call, Clients, Outcome
from tests.simulation.faults import Faults
from tests.simulation.invariants import Invariants, ViolationError
from tests.simulation.network import Conditions, Network
from tests.simulation.node import Node
from tests.simulation.ours import EngineDisk
from tests.simulation.people import Operator
from tests.simulation.ports import MakeDisk
from tests.simulation.profiles import PROFILES, Profile, draw_conditions, draw_settings
from tests.simulation.real_log import RealLogDisk
from tests.simulation.world import START_S, Reality, World

from weftmesh.agent.raft.core.membership import NO_VOTERS, Voters

CALL_TIMEOUTS_S = (0.3, 1.0, 3.0)
CHAOS_S = (1.5, 4.0)
HEAL_LIMIT_S = 25.0
"""Simulated. A healthy cluster needs less than two seconds."""
HEAL_PIECE_S = 0.25
REAL_LOG_EVERY = 16
"""Such seeds run on the real write-ahead log, which is slower."""
STRIKE_S = 0.01
SPARES = ("X", "Y")


@dataclass(frozen=True)
class Result:
    """How a seed went."""

    seed: int
    profile: str
    violation: str
    """Empty when every invariant held."""
    kind: str
    counts: Counter[str]
    ended_s: float
    """Simulated time since the start; with the counts it tells one run from another."""
    took_s: float = 0.0
    """Of processor time."""


class Simulation:
    """Everything is drawn from the seed.

    Args:
        seed: of all chance.
        trace: print what happens.
        make_disk: the engine under test, on its disk; ours by default.
        profile: instead of the one that the seed draws.
    """

    def __init__(
        self, seed: int, *, trace: bool = False, make_disk: MakeDisk | None = None, profile: Profile | None = None
    ) -> None:
        self.world = World(seed, trace=trace)
        rng = self.world.rng
        self.profile = rng.choice(PROFILES) if profile is None else profile
        self.settings = draw_settings(self.profile, rng)
        self.network = Network(self.world, draw_conditions(self.profile, rng))
        self.invariants = Invariants(self.world)
        self.clients = Clients(self.world, self.invariants)
        self.nodes: dict[str, Node] = {}
        self.operator = Operator(self)
        self.faults = Faults(self)
        self._original = bool(getattr(make_disk, "original", False))
        in_files = seed % REAL_LOG_EVERY == 0
        self._make_disk: MakeDisk = make_disk or (RealLogDisk if in_files else EngineDisk)
        self._faulty = True
        self._names = ["A", "B", "C", "D", "E"][: rng.choice((3, 3, 5))]
        self._rates = self._draw_rates()

    def run(self) -> Result:
        """Play it; a violation is part of the result."""
        violation: ViolationError | None = None
        try:
            with Reality(self.world, with_pickle=self._original):
                self._play()
        except ViolationError as error:
            violation = self.invariants.found or error
            self.world.say("VIOLATION", error)
        finally:
            self._end()
        return self.result(violation.kind if violation else "", str(violation or ""))

    def result(self, kind: str, violation: str) -> Result:
        """As far as it came."""
        passed_s = self.world.now_s - START_S
        return Result(self.world.seed, self.profile.name, violation, kind, self.world.counts, passed_s)

    # the cluster

    def leaders(self) -> list[Node]:
        """The one that leads in the latest term, if any does."""
        leading = [node for _, node in sorted(self.nodes.items()) if node.core is not None and node.core.leads]
        return [max(leading, key=lambda node: node.core.term if node.core is not None else 0)] if leading else []

    def voters(self) -> Mapping[str, str]:
        """As the latest leader has them, or else anybody."""
        known = self.leaders() or [node for _, node in sorted(self.nodes.items()) if node.core is not None]
        return next((node.core.voters for node in known if node.core is not None and node.core.voters), NO_VOTERS)

    def add(self, name: str, voters: Voters, *, founding: bool = False) -> Node:
        """A new machine, and its process."""
        node = Node(self.world, self.network, self.invariants, name, self._make_disk(self.settings, voters))
        node.founding = founding
        node.seeds = {other: f"{other}:1" for other in self.nodes}
        node.clock.set_rate(self.world.rng.uniform(0.95, 1.05))
        node.sync_s = self.world.rng.choice((0.0005, 0.002, 0.01))
        self.nodes[name] = node
        for other in self.nodes.values():
            other.seeds = {**other.seeds, name: f"{name}:1"}
        node.start()
        return node

    def replace(self, lost: Node) -> None:
        """A node whose disk is damaged never comes back; a new one takes its place."""
        lost.start()
        substitute = f"R{len(self.nodes)}"
        self.add(substitute, NO_VOTERS)
        self.operator.replace(lost.name, substitute)

    # the schedule

    def _draw_rates(self) -> dict[str, float]:
        """How often what happens in this seed. A lost disk and random removals together may lose a majority."""
        rng = self.world.rng
        rates = {kind: rate * rng.choice((0.0, 1.0, 2.0)) for kind, rate in self.profile.faults.items()}
        if self._original:
            rates["damage"] = rates["change_voters"] = 0.0
            self.network.conditions = Conditions(jitter_s=self.network.conditions.jitter_s)
        rates["damage" if rng.random() < 0.5 else "change_voters"] = 0.0
        return rates

    def _play(self) -> None:
        self._found()
        if self._rates["change_voters"]:
            for name in SPARES[: self.world.rng.randint(1, 2)]:
                self.add(name, NO_VOTERS)
        self.invariants.on_leader = self._tempt
        self._call_again()
        self._fail_again()
        self.world.run_until(START_S + self.world.rng.uniform(*CHAOS_S))
        self._heal()
        self.clients.check()

    def _found(self) -> None:
        """A cluster that has its voters already, or one node that founds it and is joined by the others."""
        voters = {name: f"{name}:1" for name in self._names}
        joined = bool(self._rates["change_voters"]) and self.world.chance(0.2)
        for name in self._names:
            self.add(name, NO_VOTERS if joined else voters, founding=joined and name == self._names[0])
        for name in self._names[1:] if joined else ():
            self.operator.enlist(name)

    def _call_again(self) -> None:
        """Clients call at random moments, any node."""
        if not self._faulty:
            return
        up = [node for _, node in sorted(self.nodes.items()) if node.up]
        timeout_s = self.world.rng.choice(CALL_TIMEOUTS_S)
        for _ in range(self.world.rng.choice((1, 1, 1, 5))):
            if up:
                self.clients.call(self.world.rng.choice(up), timeout_s)
        self.world.after(self.world.rng.expovariate(self.profile.calls), self._call_again)

    def _fail_again(self) -> None:
        total = sum(self._rates.values())
        if not self._faulty or not total:
            return
        if self.world.now_s > START_S:
            kinds = list(self._rates)
            self.faults.happen(self.world.rng.choices(kinds, [self._rates[kind] for kind in kinds])[0])
        self.world.after(self.world.rng.expovariate(total), self._fail_again)

    def _tempt(self, what: str, node: Node) -> None:
        """The adversary sees what a leader does."""
        if self._faulty and self.profile.eager and self.world.chance(self.profile.eager):
            delay_s = self.world.rng.random() * STRIKE_S
            self.world.after(delay_s, lambda: self._strike(what, node))

    def _strike(self, what: str, node: Node) -> None:
        if self._faulty and node.core is not None and node.core.leads:
            self.faults.strike(what, node)

    # the end

    def _heal(self) -> None:
        """No more faults: a cluster must elect, converge, and take a write on every voter."""
        self.world.say("---- heal")
        self._faulty = False
        self.faults.heal()
        conditions = self.network.conditions
        conditions.loss = conditions.twice = conditions.late = 0.0
        for node in self.nodes.values():
            node.operations_left, node.frozen_until_s, node.sync_s, node.job_s = None, 0.0, 0.001, 0.01
            node.clock.set_rate(1.0)
            node.clock_changed()
            node.start()
        last: dict[str, Call] = {}
        until_s = self.world.now_s + HEAL_LIMIT_S
        while self.world.now_s < until_s:
            self.world.run_until(self.world.now_s + HEAL_PIECE_S)
            if self._is_well(last):
                return
            self._write_everywhere(last)
        states = {n.name: (n.core.term, n.core.commit, n.core.applied) for n in self.nodes.values() if n.core}
        raise ViolationError("does not converge", (sorted(self.voters()), states))

    def _write_everywhere(self, last: dict[str, Call]) -> None:
        if not self.leaders():
            return
        for name in sorted(self.voters()):
            call = last.get(name)
            answered = call is not None and (call.outcome is not Outcome.UNKNOWN or not self.nodes[name].up)
            if call is None or (answered and call.outcome is not Outcome.DONE) or self._is_overdue(call):
                last[name] = self.clients.change(self.nodes[name], "write", "red", HEAL_PIECE_S * 3)

    def _is_overdue(self, call: Call) -> bool:
        """Its caller was told that nobody knows, or was told nothing, which is as bad."""
        return call.outcome is Outcome.UNKNOWN and self.world.now_s > call.asked_s + HEAL_PIECE_S * 4

    def _is_well(self, last: Mapping[str, Call]) -> bool:
        names = sorted(self.voters())
        if not names or any(name not in last or last[name].outcome is not Outcome.DONE for name in names):
            return False
        if any(name in self.voters() for name in self.nodes if self.nodes[name].broken):
            return False
        cores = [self.nodes[name].core for name in names]
        return len({core.machine.index if core is not None else -1 for core in cores}) == 1

    def _end(self) -> None:
        for node in self.nodes.values():
            if node.loop is not None:
                node.loop.abandon()
