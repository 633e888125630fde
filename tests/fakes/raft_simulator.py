"""Random schedules for hardened cores: losses, cuts, crashes with lost un-synced writes, snapshots, changing voters.

Everything is drawn from one seed. `Simulation(seed).run()` raises `ViolationError` when an invariant breaks, and prints
every event when `trace` is set.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tests.fakes.raft_cluster import HardenedNode, World, Write

from weftmesh.agent.raft.codec import ProtocolError
from weftmesh.agent.raft.engine import MemberRole
from weftmesh.agent.raft.membership import Voters, is_single_change, quorum_size, to_membership
from weftmesh.agent.raft.membership_change import changed
from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.mesh.v1 import raft_pb2

SETTINGS = RaftSettings(
    heartbeat_s=0.02, idle_heartbeat_s=0.05, election_min_s=0.2, election_max_s=0.35, resend_s=0.06, retry_s=0.01,
    leaving_grace_s=0.5, apply_limit=16,
)  # fmt: skip
NOT_TWICE = ("forward_proposals", "reject_proposals")
HEAL_ROUNDS = 600
HEAL_ROUND_S = 0.01


class ViolationError(AssertionError):
    """An invariant of the replicated log does not hold."""


@dataclass
class Host:
    """A node, up or down."""

    node: HardenedNode
    up: bool = True
    incarnation: int = 0
    applied: int = 0
    checked: int = 2
    seen_commands: int = 0


class Simulation:
    """One seed."""

    def __init__(self, seed: int, trace: bool = False) -> None:
        self.seed, self.trace = seed, trace
        self.world = World(seed)
        rng = self.rng = self.world.rng
        self.settings = replace(
            SETTINGS,
            trailing_entries=rng.choice((0, 3, 2000)),
            snapshot_every_entries=rng.choice((5, 15, 10_000)),
            append_limit_bytes=rng.choice((100, 400, 1 << 16)),
            chunk_bytes=rng.choice((100, 300, 1 << 16)),
            uncommitted_limit=rng.choice((10, 1000)),
        )
        self.voters = ["A", "B", "C", "D", "E"][: rng.choice((3, 3, 5))]
        self.spare = "X"
        self.hosts: dict[str, Host] = {}
        self.queues: dict[tuple[str, str], collections.deque[raft_pb2.RaftMessage]] = collections.defaultdict(
            collections.deque
        )
        self.links: set[tuple[str, str]] = set()
        self.cut: set[frozenset[str]] = set()
        self.stuck: set[tuple[str, str]] = set()
        self.late: list[tuple[tuple[str, str], raft_pb2.RaftMessage]] = []
        self.loss, self.twice = rng.choice((0, 0, 0.03)), rng.choice((0, 0.1, 0.3))
        self.leaders: dict[int, tuple[str, int]] = {}
        self.committed: dict[int, tuple[int, bytes]] = {}
        self.sequence: list[bytes] = []
        self.writes: list[Write] = []
        self.reads = self.events = 0
        self.weights_drawn: dict[str, float] = {}

    def say(self, *what: object) -> None:
        """A line of the trace."""
        if self.trace:
            print(f"{self.events:4d} {self.world.now_s:.3f}", *what)

    def violated(self, kind: str, detail: object = "") -> None:
        """Stop here; says how to see it again."""
        raise ViolationError(
            f'{kind}: {detail}; again: python -c "from tests.fakes.raft_simulator import Simulation as S; '
            f'S({self.seed}, trace=True).run()"'
        )

    # the network

    def queue(self, sender: str, receiver: str, message: raft_pb2.RaftMessage) -> bool:
        """A node sends."""
        if (sender, receiver) not in self.links:
            return False
        if self.rng.random() >= self.loss:
            self.queues[sender, receiver].append(message)
        return True

    def connect(self, one: str, other: str) -> None:
        """Both streams come up, if they may."""
        if frozenset((one, other)) in self.cut or not (self.hosts[one].up and self.hosts[other].up):
            return
        for sender, receiver in ((one, other), (other, one)):
            if (sender, receiver) not in self.links and receiver in self.hosts[sender].node.peers:
                self.links.add((sender, receiver))
                self.on(sender, partial(HardenedNode.link, peer=receiver, up=True))

    def disconnect(self, one: str, other: str) -> None:
        """Both streams break; some of what was on its way may still come, late."""
        for sender, receiver in ((one, other), (other, one)):
            if (sender, receiver) not in self.links:
                continue
            self.links.discard((sender, receiver))
            self.stuck.discard((sender, receiver))
            queue = self.queues[sender, receiver]
            if self.twice and queue:
                self.late.extend(((sender, receiver), m) for m in queue if m.WhichOneof("kind") not in NOT_TWICE)
            queue.clear()
            if self.hosts[sender].up:
                self.on(sender, partial(HardenedNode.link, peer=receiver, up=False))

    def hand_over_message(self, link: tuple[str, str], message: raft_pb2.RaftMessage) -> None:
        """Deliver one message, and perhaps keep a copy to deliver again."""
        sender, receiver = link
        if not self.hosts[receiver].up:
            return
        if self.rng.random() < self.twice and message.WhichOneof("kind") not in NOT_TWICE:
            self.late.append((link, message))
        if self.trace:
            self.say(sender, "->", receiver, str(message).replace("\n", " ")[:300])
        self.on(receiver, lambda node: node.receive(sender, message))

    # hosts

    def on(self, name: str, act: Callable[[HardenedNode], Any]) -> None:
        """Let a node act, then check it; a write that fails is a power cut."""
        host = self.hosts[name]
        if not host.up:
            return
        try:
            act(host.node)
        except OSError:
            self.crash(name)
            return
        except ProtocolError as error:
            self.say(name, "refuses", error)
        if host.node.log_storage._reported:  # a sync in the background failed
            self.crash(name)
            return
        self.drop_unwanted(name, host.node)
        self.check(name, host)

    def drop_unwanted(self, name: str, node: HardenedNode) -> None:
        """Streams to peers that a node has dropped break."""
        for receiver in sorted(to for sender, to in self.links if sender == name and to not in node.peers):
            self.links.discard((name, receiver))
            self.queues[name, receiver].clear()
            node.link(receiver, False)

    def boot(self, name: str, voters: dict[str, str]) -> None:
        """A new node."""
        seeds = {other: f"{other}:1" for other in (*self.voters, self.spare)}
        self.hosts[name] = Host(HardenedNode(self, name, voters, self.settings, self.rng.getrandbits(62), seeds))

    def crash(self, name: str) -> None:
        """Cut the power of a node."""
        host = self.hosts[name]
        host.up = False
        unsynced = host.node.log_storage.unsynced
        self.say("CRASH", name, "unsynced", unsynced)
        host.node.proposals.give_up_all("power cut")
        host.node.crash(keep=self.rng.randint(0, unsynced) if self.rng.random() < 0.5 else 0)
        for other in self.hosts:
            if other != name:
                self.disconnect(name, other)

    def restart(self, name: str) -> None:
        """Start a crashed node."""
        host = self.hosts[name]
        host.up, host.incarnation = True, host.incarnation + 1
        host.applied, host.seen_commands = 0, 0
        self.say("start", name)
        self.on(name, lambda node: node.start(self.rng.getrandbits(62)))

    # invariants

    def check(self, name: str, host: Host) -> None:
        """Everything that must hold of this node now."""
        core = host.node.core
        if core.leads:
            owner = self.leaders.setdefault(core._term, (name, host.incarnation))
            if owner != (name, host.incarnation):
                self.violated("two leaders", (core._term, owner, name))
        if core._applied < host.applied:
            self.violated("applied went back", (name, host.applied, core._applied))
        if core._applied > core._commit:
            self.violated("applied beyond commit", name)
        if core._applied != host.applied:
            host.applied = core._applied
            self.check_commands(name, host.node.machine.commands)
        if core._commit > host.checked:
            self.check_committed(name, host)
        if self.committed and self.events % 8 == 0 and not self.weights_drawn.get("change_voters"):
            newest = max(self.committed)
            if not self.has_durable_majority(dict.fromkeys(self.voters, ""), newest):
                self.violated("a committed entry lost its durable majority", newest)

    def check_commands(self, name: str, commands: list[bytes]) -> None:
        """Applied sequences are prefixes of one sequence."""
        known = len(self.sequence)
        if commands[:known] != self.sequence[: len(commands)]:
            self.violated("state machines diverge", name)
        self.sequence.extend(commands[known:])

    def check_committed(self, name: str, host: Host) -> None:
        """A committed index has one entry for ever, durable on a majority when it was first committed."""
        core, storage = host.node.core, host.node.log_storage
        new = 0
        for index in range(max(host.checked, storage.base_index) + 1, core._commit + 1):
            entry = storage.entry(index)
            if index not in self.committed:
                new = index
            if self.committed.setdefault(index, (entry.term, entry.payload)) != (entry.term, entry.payload):
                self.violated("committed entries differ", (name, index))
        host.checked = max(host.checked, core._commit)
        if new and core.leads:
            # the tick that committed may have appended a change of the voters afterwards
            voters = (core.voters, core._configurations.at(new).voters)
            if not any(self.has_durable_majority(of, new) for of in voters):
                self.violated("committed without a durable majority", (name, new, voters))

    def has_durable_majority(self, voters: Voters, index: int) -> bool:
        """Whether most of these would still have it after a power cut now."""
        return sum(self.is_durable(voter, index) for voter in voters) >= quorum_size(voters)

    def is_durable(self, name: str, index: int) -> bool:
        """Whether a power cut now would leave this committed entry on that node."""
        node = self.hosts[name].node
        latest = node.snapshots.latest()
        if latest is not None and latest.header.last_index >= index:
            return True
        return bool(node.log_storage._disk.term_at(index) == self.committed[index][0])

    def check_end(self) -> None:
        """Nothing acknowledged is lost, nothing refused was done, nothing was done twice."""
        done = collections.Counter(self.sequence)
        for write in self.writes:
            if write.outcome == "ok" and not done[write.command]:
                self.violated("an acknowledged write is lost", write)
            if write.outcome == "failed" and done[write.command]:
                self.violated("a refused write was applied", write)
        if done and max(done.values()) > 1:
            self.violated("applied twice", done.most_common(1))

    # events

    def event_deliver(self) -> None:
        links = [link for link, queue in self.queues.items() if queue and link not in self.stuck]
        if not links:
            return self.event_tick()
        link = self.rng.choice(links)
        for _ in range(self.rng.choice((1, 1, 1, 4))):
            if self.queues[link]:
                self.hand_over_message(link, self.queues[link].popleft())
        return None

    def event_tick(self) -> None:
        name = self.any_up()
        self.on(name, lambda node: node.tick())

    def event_write(self) -> None:
        name = self.any_up()
        for _ in range(self.rng.choice((1, 1, 5))):
            self.write(name)

    def write(self, name: str) -> Write:
        """A write with a command of its own."""
        command = b"%d" % len(self.writes) + b"." * self.rng.choice((0, 20, 60))
        write = self.hosts[name].node.write(command)
        self.writes.append(write)
        return write

    def event_read(self) -> None:
        name = self.any_up()
        host = self.hosts[name]
        floor = [write.command for write in self.writes if write.outcome == "ok"]
        machine = host.node.machine

        def done(outcome: object) -> None:
            if isinstance(outcome, int):
                self.reads += 1
                missing = set(floor) - set(machine.commands)
                if missing:
                    self.violated("stale read", (name, missing))

        host.node.core.begin_read(done)

    def event_sync(self) -> None:
        name = self.any_up()
        self.on(name, lambda node: node.finish_sync() if node._syncs else node.begin_sync())

    def event_snapshot_done(self) -> None:
        self.on(self.any_up(), lambda node: node.finish_snapshot())

    def event_compact(self) -> None:
        self.on(self.any_up(), lambda node: node.compact())

    def event_connect(self) -> None:
        one, other = self.rng.sample(sorted(self.hosts), 2)
        self.connect(one, other)

    def event_reset(self) -> None:
        one, other = self.rng.sample(sorted(self.hosts), 2)
        self.say("reset", one, other)
        self.disconnect(one, other)
        if self.rng.random() < 0.5:
            self.connect(one, other)

    def event_cut(self) -> None:
        names = sorted(self.hosts)
        group = set(self.rng.sample(names, self.rng.randint(1, len(names) // 2)))
        self.say("cut", sorted(group))
        for one in group:
            for other in set(names) - group:
                self.cut.add(frozenset((one, other)))
                self.disconnect(one, other)

    def event_heal(self) -> None:
        self.cut.clear()
        self.stuck.clear()

    def event_stick(self) -> None:
        one, other = self.rng.sample(sorted(self.hosts), 2)
        self.stuck.add((one, other))

    def event_crash(self) -> None:
        name = self.any_up()
        if self.rng.random() < 0.5:
            self.crash(name)
        else:
            self.hosts[name].node.log_storage.fail_with(OSError("power cut in a write"))

    def event_restart(self) -> None:
        down = sorted(name for name, host in self.hosts.items() if not host.up)
        if down:
            self.restart(self.rng.choice(down))

    def event_depose(self) -> None:
        """An adversary: somebody campaigns, and whoever hears it forgets that a leader is at work."""
        name = self.any_up()
        if self.rng.random() < 0.7:
            for host in self.hosts.values():
                host.node.core._heard_leader_s = float("-inf")
        self.hosts[name].node.core._election_deadline_s = 0.0
        self.say("campaign", name)
        self.event_tick_of(name)

    def event_tick_of(self, name: str) -> None:
        self.on(name, lambda node: node.tick())

    def event_jump(self) -> None:
        self.world.now_s += self.rng.random() * 0.4

    def event_hand_over(self) -> None:
        self.on(self.any_up(), lambda node: node.core.hand_over(self.rng.random() < 0.7))

    def event_late(self) -> None:
        if self.late:
            self.hand_over_message(*self.late.pop(self.rng.randrange(len(self.late))))

    def event_change_voters(self) -> None:
        """Somebody comes, goes, is promoted or demoted."""
        host, name = self.hosts[self.any_up()], self.rng.choice(sorted(self.hosts))
        now = host.node.core.configuration
        role = self.rng.choice((MemberRole.VOTER, MemberRole.VOTER, MemberRole.OBSERVER, None))
        if not now.voters or (name in now.voters and (role is MemberRole.VOTER or len(now.voters) <= 2)):
            return
        wanted = changed(now, name, role, f"{name}:1")
        if is_single_change(now, wanted):
            self.say("change members to", wanted)
            host.node.submit(raft_pb2.LogPayload(membership=to_membership(*wanted)))

    def any_up(self) -> str:
        """A node that runs, starting one if none does."""
        up = sorted(name for name, host in self.hosts.items() if host.up)
        if not up:
            self.event_restart()
            return self.any_up()
        return self.rng.choice(up)

    # a run

    def run(self) -> Simulation:
        """Play the schedule, heal, and see that everybody agrees and goes on."""
        with self.world:
            voters = {name: f"{name}:1" for name in self.voters}
            for name in self.voters:
                self.boot(name, voters)
            self.boot(self.spare, {})
            weights = self.weights_drawn = self.weights()
            for _ in range(self.rng.randint(200, 500)):
                self.events += 1
                self.world.now_s += self.rng.random() * 0.012
                kind = self.rng.choices(list(weights), list(weights.values()))[0]
                getattr(self, f"event_{kind}")()
            self.heal()
            self.check_end()
        return self

    def weights(self) -> dict[str, float]:
        """How often what happens, in this seed."""
        pick = self.rng.choice
        return {
            "deliver": 60, "tick": 30, "write": pick((4, 12)), "read": 3, "sync": pick((6, 15, 40)), "connect": 8,
            "snapshot_done": 3, "compact": pick((0, 0.5, 2)), "reset": pick((0, 0.5, 2)), "cut": pick((0, 0.5, 1.5)),
            "heal": pick((0.2, 0.6, 1.5)), "stick": pick((0, 0.7)), "crash": pick((0, 0.4, 1.5)), "restart": 3,
            "depose": pick((0, 0.5, 3)), "jump": pick((0, 0.5)), "hand_over": pick((0, 0.3)), "late": pick((3, 12)),
            "change_voters": pick((0, 0, 1)),
        }  # fmt: skip

    def heal(self) -> None:
        """No more faults: a mesh must elect, converge, and take a write on every voter."""
        self.say("---- heal")
        self.event_heal()
        self.loss = self.twice = 0
        self.late.clear()
        last: dict[str, Write] = {}
        for round_ in range(HEAL_ROUNDS):
            self.heal_round()
            if round_ < 100 or round_ % 20:
                continue
            if self.settled(last):
                return
            for name in self.present_voters():
                if name not in last or last[name].outcome in ("unknown", "failed"):
                    last[name] = self.write(name)
        self.violated("does not converge", {n: (h.node.core._term, h.node.core._commit) for n, h in self.hosts.items()})

    def heal_round(self) -> None:
        self.events += 1
        self.world.now_s += HEAL_ROUND_S
        names = sorted(self.hosts)
        for name in names:
            if not self.hosts[name].up:
                self.restart(name)
        for one in names:
            for other in names:
                if one < other:
                    self.connect(one, other)
        for name in names:
            self.on(name, lambda node: node.core.hand_over(False))
            self.on(name, lambda node: node.tick())
            self.on(name, lambda node: node.sync())
        for link in [link for link, queue in self.queues.items() if queue]:
            for _ in range(len(self.queues[link])):
                if self.queues[link]:
                    self.hand_over_message(link, self.queues[link].popleft())

    def present_voters(self) -> list[str]:
        """The voters as the newest leader has them."""
        leaders = [host.node.core for host in self.hosts.values() if host.up and host.node.core.leads]
        return sorted(max(leaders, key=lambda core: core._term).voters) if leaders else []

    def settled(self, last: dict[str, Write]) -> bool:
        """Whether every voter's last write was acknowledged and all have applied the same."""
        names = self.present_voters()
        if not names or not all(name in last and last[name].outcome == "ok" for name in names):
            return False
        return len({len(self.hosts[name].node.machine.commands) for name in names}) == 1
