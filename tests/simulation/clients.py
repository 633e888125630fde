"""Concurrent writes, swaps and reads of a few registers through any node, and what their callers were told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from tests.checkers.linearizability import Operation, check_keys
from tests.simulation.invariants import Invariants
from tests.simulation.machine import NO_VALUE, Command
from tests.simulation.node import Node
from tests.simulation.ports import Core
from tests.simulation.world import World

from weftmesh.core.errors import NoQuorumError, OverloadedError, PreconditionError, UnknownOutcomeError
from weftmesh.core.features.levels import FIRST_LEVEL, SUPPORTED_LEVEL

KEYS = ("red", "green", "blue")
FENCED_EVERY = 5
"""Changes; each of them stands behind a fence in the log, as one that raises the feature level does."""
CHECK_LIMIT = 100_000
"""Configurations in the search of an order, some ten seconds; a thousand is usual."""


class Outcome(Enum):
    """What the caller was told."""

    UNKNOWN = "unknown"
    """Also while nothing was said."""
    DONE = "done"
    REFUSED = "refused"
    """Certainly not done."""


@dataclass(slots=True)
class Call:
    """A change and its outcome."""

    command: Command
    operation: Operation
    asked_s: float
    outcome: Outcome = Outcome.UNKNOWN
    index: int = 0


class Clients:
    """Everybody who calls."""

    def __init__(self, world: World, invariants: Invariants) -> None:
        self._world, self._invariants = world, invariants
        self.calls: list[Call] = []
        self.reads: list[Operation] = []
        self._last_seen: dict[str, str] = {}
        self._acknowledged_index = 0
        self._padding = world.rng.choice((0, 0, 20, 60))

    def call(self, node: Node, timeout_s: float) -> None:
        """Make one call to a node."""
        dice = self._world.rng.random()
        key = self._world.rng.choice(KEYS)
        if dice < 0.3 and node.disk.reads:
            self.read(node, key, timeout_s)
        else:
            self.change(node, "cas" if dice < 0.5 else "write", key, timeout_s)

    def change(self, node: Node, kind: str, key: str, timeout_s: float) -> Call:
        """Write, or swap what was seen last."""
        identity = len(self.calls) + 1
        value = str(identity) + "." * self._padding
        command = Command(identity, kind, key, self._last_seen.get(key, NO_VALUE) if kind == "cas" else "", value)
        argument = (command.expected, value) if kind == "cas" else value
        invoked = self._world.stamp()
        operation = Operation(node.name, "cas" if kind == "cas" else "write", argument, None, invoked, None)
        call = Call(command, operation, self._world.now_s)
        self.calls.append(call)
        core, loop = node.core, node.loop
        if core is not None and loop is not None:
            node.act(lambda: _discard(loop.create_task(self._change(node, core, call, timeout_s))))
        return call

    async def _change(self, node: Node, core: Core, call: Call, timeout_s: float) -> None:
        identity = call.command.identity
        try:
            level = FIRST_LEVEL if identity % FENCED_EVERY else SUPPORTED_LEVEL
            applied = await core.engine.propose(call.command.encode(), timeout_s, level=level)
        except UnknownOutcomeError:
            return
        except (NoQuorumError, OverloadedError, PreconditionError) as error:
            call.outcome = Outcome.REFUSED
            self._world.say(node.name, "refuses", call.command, error)
            self.check_refused(call)
            return
        if not isinstance(applied.result, tuple) or applied.result[0] != identity:
            raise self._invariants.violated("success with another command's result", (node.name, call.command, applied))
        if self._invariants.index_of.get(identity) != applied.index:
            raise self._invariants.violated(
                "success for a write that is not applied there", (node.name, call.command, applied)
            )
        call.outcome, call.index = Outcome.DONE, applied.index
        swapped = applied.result[1] if call.command.kind == "cas" else None
        call.operation = replace(call.operation, result=swapped, returned=self._world.stamp())
        self._acknowledged_index = max(self._acknowledged_index, applied.index)
        if applied.result[1]:
            self._last_seen[call.command.key] = call.command.value

    def read(self, node: Node, key: str, timeout_s: float) -> None:
        """Read on a node everything that was acknowledged before."""
        core, loop = node.core, node.loop
        if core is not None and loop is not None:
            node.act(lambda: _discard(loop.create_task(self._read(node, core, key, timeout_s))))

    async def _read(self, node: Node, core: Core, key: str, timeout_s: float) -> None:
        floor, invoked = self._acknowledged_index, self._world.stamp()
        try:
            await core.engine.read_barrier(timeout_s)
        except (UnknownOutcomeError, NoQuorumError, OverloadedError):
            return
        if core.machine.index < floor:
            raise self._invariants.violated("a stale read", (node.name, core.machine.index, floor))
        value = core.machine.values.get(key, NO_VALUE)
        self.reads.append(Operation(node.name, "read", key, value, invoked, self._world.stamp()))
        self._last_seen[key] = value

    # at the end

    def check(self) -> None:
        """Nothing acknowledged is lost, nothing refused was done, and the whole history is linearizable."""
        for call in self.calls:
            if call.outcome is Outcome.DONE and self._invariants.index_of.get(call.command.identity) != call.index:
                raise self._invariants.violated("an acknowledged write is lost", call)
            if call.outcome is Outcome.REFUSED:
                self.check_refused(call)
            self._world.counts[f"writes {call.outcome.value}"] += 1
        self._world.counts["reads"] += len(self.reads)
        violations = check_keys({key: self.history(key) for key in KEYS}, NO_VALUE, limit=CHECK_LIMIT)
        if violations:
            raise self._invariants.violated("not linearizable", violations)

    def check_refused(self, call: Call) -> None:
        """Who was told that nothing was changed must be able to rely on it."""
        if call.command.identity in self._invariants.index_of:
            raise self._invariants.violated("a refused write was applied", call)

    def history(self, key: str) -> list[Operation]:
        """What happened to one register, as its callers saw it."""
        changes = [
            call.operation for call in self.calls if call.command.key == key and call.outcome is not Outcome.REFUSED
        ]
        return changes + [read for read in self.reads if read.argument == key]


def _discard(_task: object) -> None:
    """The loop holds on to it."""
