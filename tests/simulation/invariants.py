"""What must hold after every step: the safety properties of Raft (paper, figure 3), and what durability adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation.world import World

from weftmesh.agent.raft.ports import Entry
from weftmesh.mesh.v1 import raft_pb2

if TYPE_CHECKING:
    from tests.simulation.machine import Command, Registers
    from tests.simulation.node import Node

FIRST_CHECKED_INDEX = 2
"""Entry 1 exists by convention only."""
LATER_STEPS = 16
"""Every so many checks, whether the newest committed entry is still durable on a majority."""


class ViolationError(AssertionError):
    """An invariant does not hold."""

    def __init__(self, kind: str, detail: object = "") -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


@dataclass(slots=True)
class _Life:
    """What was seen of one life of a process."""

    incarnation: int
    term: int = 0
    commit: int = 0
    applied: int = 0
    last_index: int = 0
    led: int = -1
    """The last term it was seen to lead."""


@dataclass
class Committed:
    """The one log that everybody agrees on, as far as anybody knows."""

    entries: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Index to term and payload."""
    in_term: dict[int, int] = field(default_factory=dict)
    """Index to the term in which it was committed: that of the entry, or a later one."""
    newest: int = FIRST_CHECKED_INDEX - 1
    voters: tuple[str, ...] = ()
    """Of the configuration in which the newest was committed."""


class Invariants:
    """Watches every node. Raises ViolationError."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._nodes: dict[str, Node] = {}
        self._lives: dict[str, _Life] = {}
        self._leaders: dict[int, tuple[str, int]] = {}
        self._entries: dict[tuple[int, int], tuple[bytes, int]] = {}
        """Index and term to payload and the term of the entry before: equal for all nodes, or logs do not match."""
        self.committed = Committed()
        self.commands: dict[int, Command] = {}
        """Index to what was applied there."""
        self.index_of: dict[int, int] = {}
        """Identity to the index where it was applied."""
        self._digests: dict[int, bytes] = {}
        self._checks = 0
        self.found: ViolationError | None = None
        self.on_leader: Callable[[str, Node], None] = lambda _what, _node: None
        """Called when a leader was elected, has written or has committed."""
        self.expects_damage: set[str] = set()
        """Nodes whose disk was damaged: these may, and must, refuse to start."""

    @property
    def last_applied_index(self) -> int:
        """Of the last command that anybody applied."""
        return max(self._digests, default=0)

    def violated(self, kind: str, detail: object = "") -> ViolationError:
        """Keep the first violation, whoever may catch it on its way; the next check raises it again."""
        error = ViolationError(kind, detail)
        self.found = self.found or error
        return error

    # lives

    def began(self, node: Node) -> None:
        """A process starts from its disk."""
        self._nodes[node.name] = node
        last = self._lives.get(node.name)
        self._lives[node.name] = _Life(node.incarnation, term=last.term if last is not None else 0)

    def refused(self, node: Node, error: BaseException) -> None:
        """A node does not start on the disk it has."""
        if node.name not in self.expects_damage:
            raise self.violated("a sound disk is refused", (node.name, error))
        self._world.counts["damaged disks refused"] += 1

    def failed(self, node: Node, error: BaseException) -> None:
        """An engine gave up."""
        if node.name not in self.expects_damage:
            raise self.violated("the engine stopped itself", (node.name, repr(error))) from error

    def escaped(self, node: Node, error: BaseException) -> None:
        """Something was raised that nobody handles."""
        raise self.violated("an exception escaped", (node.name, repr(error))) from error

    # logs

    def appended(self, name: str, entries: Sequence[Entry], previous_term: int) -> None:
        """Log matching, also of what is not committed: same index and term, same entry, same prefix."""
        for entry in entries:
            known = self._entries.setdefault((entry.index, entry.term), (entry.payload, previous_term))
            if known != (entry.payload, previous_term):
                raise self.violated("logs do not match", (name, entry.index, entry.term))
            previous_term = entry.term

    def check(self, node: Node) -> None:
        """Look at a node after it acted."""
        if self.found is not None:
            raise self.found
        core, life = node.core, self._lives[node.name]
        if core is None:
            return
        self._checks += 1
        term, commit, applied = core.term, core.commit, core.applied
        if term < life.term or commit < life.commit or applied < life.applied or applied > commit:
            now = (term, commit, applied)
            raise self.violated("went back", (node.name, (life.term, life.commit, life.applied), now))
        life.applied = applied
        if core.leads and life.led != term:
            life.led = term
            self._check_leader(node, term)
        if commit > life.commit:
            self._check_committed(node, life.commit, commit)
        if core.leads and core.last_index > life.last_index:
            self.on_leader("written", node)
        life.term, life.commit, life.last_index = term, commit, core.last_index
        if self._checks % LATER_STEPS == 0 and self.committed.voters:
            self._check_durable(self.committed.voters, "a committed entry lost its majority")

    def _check_leader(self, node: Node, term: int) -> None:
        """Election safety, and leader completeness: whoever leads has all that was committed in earlier terms.

        What a later term committed it need not have: who gets the votes of a term late leads it for a moment.
        """
        assert node.core is not None
        owner = self._leaders.setdefault(term, (node.name, node.incarnation))
        if owner != (node.name, node.incarnation):
            raise self.violated("two leaders in a term", (term, owner, node.name))
        self._world.counts["leaders"] += 1
        self._world.say(node.name, "leads term", term)
        self.on_leader("been elected", node)
        core = node.core
        for index in range(max(core.first_index, FIRST_CHECKED_INDEX), self.committed.newest + 1):
            known = self.committed.entries.get(index)
            held = core.entry(index) if index <= core.last_index else None
            if known is not None and known != held and self.committed.in_term[index] <= term:
                raise self.violated("a leader lacks a committed entry", (node.name, term, index))

    def _check_committed(self, node: Node, before: int, commit: int) -> None:
        """A committed index has one entry for ever, durable on a majority at that moment."""
        core, committed = node.core, self.committed
        assert core is not None
        if commit > core.last_index:
            raise self.violated("committed beyond the log", (node.name, commit, core.last_index))
        for index in range(max(before + 1, core.first_index), commit + 1):
            entry = core.entry(index)
            known = committed.entries.setdefault(index, entry)
            committed.in_term.setdefault(index, core.term)
            if known != entry:
                raise self.violated("committed entries differ", (node.name, index, known[0], entry[0]))
        if commit > committed.newest:
            self._world.counts["commits"] += 1
            committed.newest = commit
            committed.voters = self._voters_at(commit, core.voters)
            self._check_durable(committed.voters, "committed without a durable majority")
            if core.leads:
                self.on_leader("committed", node)

    def _voters_at(self, index: int, voters: Mapping[str, str]) -> tuple[str, ...]:
        """Who voted when an entry was committed: what was appended behind it in the same moment came later."""
        if self._is_durable_majority(tuple(voters), index):
            return tuple(voters)
        earlier = self.membership_at(index)
        return earlier or tuple(voters)

    def membership_at(self, index: int) -> tuple[str, ...]:
        """The voters as of an entry."""
        earlier = sorted((at for at in self.committed.entries if at <= index), reverse=True)
        found = (_voters_of(self.committed.entries[at][1]) for at in earlier)
        return next((voters for voters in found if voters), ())

    def _check_durable(self, voters: tuple[str, ...], why: str) -> None:
        if not self._is_durable_majority(voters, self.committed.newest):
            raise self.violated(why, (self.committed.newest, voters))

    def _is_durable_majority(self, voters: tuple[str, ...], index: int) -> bool:
        term = self.committed.entries[index][0] if index in self.committed.entries else -1
        known = [self._nodes[name] for name in voters if name in self._nodes]
        return sum(node.disk.has_durable(index, term) for node in known) * 2 > len(voters)

    # state machines

    def applied(self, machine: Registers, index: int, command: Command) -> None:
        """State machine safety: one sequence of commands, each of them once."""
        known = self.commands.setdefault(index, command)
        if known != command:
            raise self.violated("state machines diverge", (machine.owner, index, known, command))
        first = self.index_of.setdefault(command.identity, index)
        if first != index or command.identity in machine.identities:
            raise self.violated("applied twice", (machine.owner, first, index, command))
        self._check_digest(machine)

    def restored(self, machine: Registers) -> None:
        """A snapshot holds exactly what the commands up to its index made."""
        self._world.counts["snapshots restored"] += 1
        if machine.index:
            self._check_digest(machine)

    def _check_digest(self, machine: Registers) -> None:
        known = self._digests.setdefault(machine.index, machine.digest)
        if known != machine.digest:
            raise self.violated("state machines diverge", (machine.owner, machine.index))


def _voters_of(payload: bytes) -> tuple[str, ...]:
    """The voters that an entry brings into effect."""
    return tuple(voter.name for voter in raft_pb2.LogPayload.FromString(payload).membership.voters)
