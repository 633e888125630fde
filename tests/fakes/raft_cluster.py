"""A mesh of cores under one fake clock and one fake network, driven by hand: the original's or the hardened one.

Nothing happens by itself: a test ticks, delivers, cuts and elects. Both cores answer the same calls, so that a
scenario can be played on each.
"""

from __future__ import annotations

import collections
import copy
import pickle
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Protocol

import pytest
from pysyncobj import journal, serializer, syncobj
from tests.fakes.raft_engines import Register
from tests.fakes.snapshot_calls import SnapshotCalls, SnapshotMessage
from tests.fakes.storage import FakeLogStorage, FakeSnapshotStorage

from weftmesh.agent.raft.core import pin
from weftmesh.agent.raft.core.codec import ProtocolError
from weftmesh.agent.raft.core.hardened import HardenedSyncObj
from weftmesh.agent.raft.core.installing import Prepared
from weftmesh.agent.raft.core.membership import NO_VOTERS, Voters, to_membership
from weftmesh.agent.raft.core.proposals import Proposals
from weftmesh.agent.raft.core.stock import CoreParts, peer_of
from weftmesh.agent.raft.engine import Applied
from weftmesh.agent.raft.ports import Entry, SnapshotInfo
from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.core.errors import DataCorruptionError, NotFoundError, UnknownOutcomeError, WeftmeshError
from weftmesh.mesh.v1 import raft_pb2

CLOCK_CALL_S = 0.0002
"""Every look at the clock costs time: the original's send loops end by the clock only."""
FIRST_FREE_INDEX = 3
"""Entry 2 of a node made here is the voters', or in the original a no-op."""
ROUND_S = 0.15
CALL_TIMEOUT_S = 5.0
NEVER_S = 1e18
SETTINGS = RaftSettings(
    heartbeat_s=0.1,
    idle_heartbeat_s=0.1,
    election_max_s=2.0,
    append_limit_bytes=1 << 16,
    trailing_entries=0,
    chunk_bytes=64,
)


class World:
    """Replaces the clock and the dice that pysyncobj reads, and for the original core gives pickle back."""

    def __init__(self, seed: int = 1, with_pickle: bool = False) -> None:
        self.now_s = 1000.0
        self.rng = random.Random(seed)
        self._with_pickle = with_pickle
        self._saved: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> World:
        self._replace(syncobj, "monotonicTime", self._clock)
        self._replace(syncobj, "random", SimpleNamespace(random=self.rng.random))
        if self._with_pickle:
            real = SimpleNamespace(
                dumps=pickle.dumps, loads=pickle.loads, dump=pickle.dump, load=pickle.load, to_bytes=bytes
            )
            self._replace(syncobj, "pickle", real)
            self._replace(serializer, "pickle", real)
            self._replace(journal, "loads", pickle.loads)
            self._replace(journal, "dumps", pickle.dumps)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for owner, name, value in reversed(self._saved):
            setattr(owner, name, value)

    def _replace(self, owner: Any, name: str, value: Any) -> None:
        self._saved.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def _clock(self) -> float:
        self.now_s += CLOCK_CALL_S
        return self.now_s


@dataclass
class Write:
    """A write and what its caller was told."""

    command: bytes
    outcome: str = ""
    """ok, unknown, failed; empty while nothing was said."""
    result: Any = None


class Network(Protocol):
    """What a node sees of the cluster."""

    def queue(self, sender: str, receiver: str, message: Any) -> bool:
        """Put a message on its way."""


class StockCore(syncobj.SyncObj):  # type: ignore[misc]
    """The original with commands of plain bytes; everything else is as published."""

    def __init__(self, *args: Any, machine: Register, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.machine = machine  # after the constructor: part of what its snapshots hold

    def _SyncObj__doApplyCommand(self, command: bytes) -> Any:  # noqa: N802
        if command[:1] != pin.REGULAR:
            return None
        return self.machine.apply(self.machine.applied_index + 1, command[1:], 0)


class StockTransport(pin.Transport):  # type: ignore[misc]
    """The original's transport on the fake network."""

    ready = True

    def __init__(self, network: Network, name: str) -> None:
        super().__init__(None, None, [])
        self._network, self._name = network, name

    def send(self, node: pin.Node, message: dict[str, Any]) -> bool:
        """Copy, as a wire does."""
        return self._network.queue(self._name, str(node.id), copy.deepcopy(message))


class StockNode:
    """The original core, as a scenario sees it."""

    def __init__(self, network: Network, name: str, names: Iterable[str], directory: Path | None) -> None:
        self.name, self.machine = name, Register()
        self._transport = StockTransport(network, name)
        files = (
            {}
            if directory is None
            else {"journalFile": str(directory / f"{name}.journal"), "fullDumpFile": str(directory / f"{name}.dump")}
        )
        conf = pin.SyncObjConf(
            autoTick=False, raftMinTimeout=1, raftMaxTimeout=2, appendEntriesPeriod=0.1, leaderFallbackTimeout=1e9,
            logCompactionMinEntries=10**9, logCompactionMinTime=1e9, logCompactionBatchSize=64, useFork=False, **files,
        )  # fmt: skip
        others = [peer_of(other) for other in names if other != name]
        self.core = StockCore(peer_of(name), others, conf, transport=self._transport, machine=self.machine)

    def tick(self) -> None:
        """One tick."""
        self.core.doTick()
        self.machine = self.core.machine

    def receive(self, sender: str, message: Any) -> None:
        """One message."""
        self._transport._onMessageReceived(peer_of(sender), message)

    def link(self, peer: str, up: bool) -> None:
        """A stream came up or broke."""
        (self._transport._onNodeConnected if up else self._transport._onNodeDisconnected)(peer_of(peer))

    def write(self, command: bytes) -> Write:
        """Propose."""
        write = Write(command)

        def done(result: Any, error: int) -> None:
            unknown = (syncobj.FAIL_REASON.UNKNOWN_OUTCOME, syncobj.FAIL_REASON.LEADER_CHANGED)
            write.outcome = "ok" if error == 0 else "unknown" if error in unknown else "failed"
            write.result = result

        self.core._applyCommand(command, done, 0)
        return write

    def log(self) -> dict[int, tuple[int, bytes]]:
        """Index to term and command."""
        return {index: (term, command[1:]) for command, index, term in self.core._SyncObj__raftLog[:]}

    def compact(self) -> None:
        """Take a snapshot and cut the log, in two ticks."""
        self.core.forceLogCompaction()

    def sync(self) -> None:
        """The original never does."""

    @property
    def applied_index(self) -> int:
        """The last entry applied."""
        return int(self.core.raftLastApplied)


class HardenedNode:
    """The hardened core, as a scenario sees it, with a disk that survives."""

    def __init__(
        self,
        network: Network,
        name: str,
        voters: Voters,
        settings: RaftSettings,
        first_id: int,
        seeds: Voters = NO_VOTERS,
    ) -> None:
        self.name, self.seeds = name, seeds
        self._network, self._settings = network, settings
        self.voters = voters
        self.log_storage = FakeLogStorage(schedule=self._collect)
        self.snapshots = FakeSnapshotStorage()
        self._syncs: list[Callable[[], None]] = []
        if voters:
            payload = raft_pb2.LogPayload(membership=to_membership(voters)).SerializeToString()
            self.log_storage.append([Entry(2, 1, payload)])
            self.log_storage.set_hard_state(1, "")
        self.start(first_id)

    def start(self, first_id: int) -> None:
        """Begin from what is on disk."""
        self.machine = Register()
        self.jobs: list[tuple[raft_pb2.SnapshotHeader, list[bytes]]] = []
        self._syncs.clear()
        self.peers: Mapping[str, str] = {}
        self.proposals = Proposals(first_id, 1000)
        self.received: list[raft_pb2.SnapshotChunk] = []
        self._deadlines: list[tuple[float, str, int]] = []
        """When calls that send snapshots break at the latest: a message of them may be lost."""
        self.core = HardenedSyncObj(
            CoreParts(
                name=self.name, address=f"{self.name}:1", cluster="test", storage=self.log_storage,
                snapshots=self.snapshots, machine=self.machine, proposals=self.proposals, send=self._send,
                set_peers=self._set_peers, write_snapshot=self._write_snapshot, send_snapshot=self._send_snapshot,
                prepare_snapshot=self.received.append, wall_us=lambda: 1, settings=self._settings, seeds=self.seeds,
            )
        )  # fmt: skip
        self.calls = SnapshotCalls(first_id, self._queue, self.core.receive_snapshot, self.core.snapshot_sent)
        self.core.load()

    def _queue(self, peer: str, message: SnapshotMessage) -> bool:
        return self._network.queue(self.name, peer, message)

    def _collect(self, callback: Callable[[], None]) -> None:
        self._syncs.append(callback)

    def _send(self, peer: str, message: raft_pb2.RaftMessage) -> bool:
        return self._network.queue(self.name, peer, raft_pb2.RaftMessage.FromString(message.SerializeToString()))

    def _set_peers(self, peers: Mapping[str, str]) -> None:
        self.peers = dict(peers)

    def _write_snapshot(self, header: raft_pb2.SnapshotHeader, rows: Callable[[], Iterator[bytes]]) -> None:
        self.jobs.append((header, list(rows())))

    def _send_snapshot(self, peer: str, offer: raft_pb2.SnapshotChunk, info: SnapshotInfo) -> bool:
        def read(offset: int) -> bytes:
            return self.snapshots.read_chunk(info, offset, self._settings.chunk_bytes)

        number = self.calls.begin(peer, offer, read)
        if number:
            self._deadlines.append((pin.monotonic_s() + CALL_TIMEOUT_S, peer, number))
        return number != 0

    def crash(self, keep: int = 0) -> None:
        """Cut the power; `start` continues."""
        self.log_storage, self.snapshots = self.log_storage.crash(keep), self.snapshots.crash()
        self._syncs.clear()

    def tick(self) -> None:
        """One tick."""
        while self._deadlines and self._deadlines[0][0] < pin.monotonic_s():
            self.calls.end(*self._deadlines.pop(0)[1:])
        self.core.tick()

    def begin_sync(self) -> None:
        """Let the disk begin with what is written."""
        self.log_storage.start_sync(self.core.release_acknowledgements)

    def finish_sync(self) -> None:
        """Let the disk end what it began."""
        while self._syncs:
            self._syncs.pop(0)()

    def sync(self) -> None:
        """Disk and snapshot threads catch up."""
        self.begin_sync()
        self.finish_sync()
        self.finish_snapshot()
        self.finish_install()

    def finish_snapshot(self) -> None:
        """The writer thread is done."""
        while self.jobs:
            header, rows = self.jobs.pop(0)
            self.core.snapshot_written(self.snapshots.write(header, rows))

    def finish_install(self) -> None:
        """The thread that prepares what was received is done."""
        while self.received:
            self.core.snapshot_prepared(self._prepare(self.received.pop(0)))

    def _prepare(self, chunk: raft_pb2.SnapshotChunk) -> Prepared | None:
        try:
            info = self.snapshots.finish_receive(chunk)
        except (DataCorruptionError, NotFoundError):
            return None
        return Prepared(info, self.machine.prepare_restore(self.snapshots.rows(info)))

    def receive(self, sender: str, message: raft_pb2.RaftMessage | SnapshotMessage) -> None:
        """One message, or one of a call that sends a snapshot."""
        if isinstance(message, SnapshotMessage):
            self.calls.receive(sender, message)
        else:
            self.core.receive(sender, message)

    def link(self, peer: str, up: bool) -> None:
        """A stream came up or broke."""
        if not up:
            self.calls.end(peer)
        (self.core.connected if up else self.core.disconnected)(peer)

    def write(self, command: bytes) -> Write:
        """Propose."""
        return self.submit(raft_pb2.LogPayload(command=command), command)

    def submit(self, payload: raft_pb2.LogPayload, command: bytes = b"") -> Write:
        """Propose any payload."""
        write = Write(command)

        def done(outcome: Applied | WeftmeshError) -> None:
            if isinstance(outcome, Applied):
                write.outcome, write.result = "ok", outcome.result
            else:
                write.outcome = "unknown" if isinstance(outcome, UnknownOutcomeError) else "failed"

        self.proposals.submit(payload, done)
        return write

    def log(self) -> dict[int, tuple[int, bytes]]:
        """Index to term and command."""
        storage = self.log_storage
        entries = [storage.entry(index) for index in range(storage.base_index + 1, storage.last_index + 1)]
        return {e.index: (e.term, raft_pb2.LogPayload.FromString(e.payload).command) for e in entries}

    def compact(self) -> None:
        """Take a snapshot; the log is cut when it is written."""
        self.core.take_snapshot()

    @property
    def applied_index(self) -> int:
        """The last entry applied."""
        return int(self.core.raftLastApplied)


class Cluster:
    """Nodes, and a network whose every message waits until it is delivered."""

    def __init__(
        self, kind: str, names: str, *, settings: RaftSettings = SETTINGS, directory: Path | None = None, seed: int = 1
    ) -> None:
        self.kind, self.names, self.settings, self.directory = kind, list(names), settings, directory
        self.world = World(seed, with_pickle=kind == "stock")
        self.queues: dict[tuple[str, str], collections.deque[Any]] = collections.defaultdict(collections.deque)
        self.up: set[tuple[str, str]] = set()
        self.nodes: dict[str, Any] = {}

    def __enter__(self) -> Cluster:
        self.world.__enter__()
        for name in self.names:
            self.boot(name)
        for one in self.names:
            for other in self.names:
                if one < other:
                    self.link(one, other, True)
        return self

    def __exit__(self, *error: Any) -> None:
        self.world.__exit__(*error)

    def __getitem__(self, name: str) -> Any:
        return self.nodes[name]

    def boot(self, name: str) -> None:
        """A node of this name with an empty disk (the original: with its files)."""
        if self.kind == "stock":
            self.nodes[name] = StockNode(self, name, self.names, self.directory)
        else:
            voters = {other: f"{other}:1" for other in self.names}
            self.nodes[name] = HardenedNode(self, name, voters, self.settings, self.world.rng.getrandbits(62))
        self.nodes[name].core._SyncObj__raftElectionDeadline = NEVER_S

    def restart(self, name: str) -> None:
        """The process ends and starts again; streams break."""
        for other in self.names:
            if other != name:
                self.link(name, other, False)
        if self.kind == "stock":
            self.boot(name)
        else:
            self.nodes[name].start(self.world.rng.getrandbits(62))
        for other in self.names:
            if other != name:
                self.link(name, other, True)

    def queue(self, sender: str, receiver: str, message: Any) -> bool:
        """A node sends."""
        if (sender, receiver) not in self.up:
            return False
        self.queues[sender, receiver].append(message)
        return True

    def link(self, one: str, other: str, up: bool) -> None:
        """Streams both ways come up, or break and lose what is on its way."""
        for sender, receiver in ((one, other), (other, one)):
            if up == ((sender, receiver) in self.up):
                continue
            if up:
                self.up.add((sender, receiver))
            else:
                self.up.discard((sender, receiver))
                self.queues[sender, receiver].clear()
            self.nodes[sender].link(receiver, up)

    def isolate(self, name: str, up: bool = False) -> None:
        """Cut a node off, or bring it back."""
        for other in self.names:
            if other != name:
                self.link(name, other, up)

    def deliver(self, sender: str, receiver: str, count: int = 10**9) -> int:
        """Hand over the next messages of a stream; returns how many."""
        queue, delivered = self.queues[sender, receiver], 0
        while queue and delivered < count:
            self.receive(sender, receiver, queue.popleft())
            delivered += 1
        return delivered

    def receive(self, sender: str, receiver: str, message: Any) -> None:
        """Hand over one message; what a node refuses is dropped."""
        try:
            self.nodes[receiver].receive(sender, message)
        except ProtocolError as error:
            self.refused = error

    def step(self, name: str, after_s: float = ROUND_S) -> None:
        """Time passes, then one node ticks."""
        self.world.now_s += after_s
        self.nodes[name].tick()

    def pump(self, among: str, rounds: int = 4) -> None:
        """Rounds in which everybody ticks, syncs, and gets all its messages."""
        for _ in range(rounds):
            self.world.now_s += ROUND_S
            for name in among:
                self.nodes[name].tick()
                self.nodes[name].sync()
            for sender in among:
                for receiver in among:
                    if sender != receiver:
                        self.deliver(sender, receiver)

    def elect(self, name: str, among: str) -> None:
        """Let one node campaign until it leads; long enough after the last leader was heard."""
        for _ in range(8):
            self.world.now_s += self.settings.election_min_s
            for node in self.nodes.values():
                node.core._SyncObj__raftElectionDeadline = NEVER_S
            self.nodes[name].core._SyncObj__raftElectionDeadline = 0
            self.nodes[name].tick()
            self.nodes[name].sync()
            for voter in among:
                if voter != name:
                    self.deliver(name, voter)
                    self.deliver(voter, name)
            if self.leads(name):
                break
        assert self.leads(name), f"{name} was not elected"
        self.pump(among, 3)

    def leads(self, name: str) -> bool:
        """Whether a node believes to lead."""
        return bool(self.nodes[name].core._isLeader())

    def commit(self, name: str) -> int:
        """A node's commit index."""
        return int(self.nodes[name].core.raftCommitIndex)

    def commands(self, name: str) -> list[bytes]:
        """What a node applied."""
        return list(self.nodes[name].machine.commands)

    # states and messages made by hand

    def fill(self, name: str, last: int, term: int) -> None:
        """Extend a node's log with entries of a term, as if an earlier leader had sent them; all of it on disk."""
        node = self.nodes[name]
        first = self.last(name) + 1
        node.core._SyncObj__setCurrentTerm(max(term, node.core.raftCurrentTerm), None)
        if self.kind == "stock" and first == FIRST_FREE_INDEX - 1:
            node.core._SyncObj__raftLog.add(pin.NO_OP, first, 1)
            first += 1
        for index in range(first, last + 1):
            node.core._SyncObj__raftLog.add(pin.REGULAR + self.payload(index, term), index, term)
        node.sync()

    def last(self, name: str) -> int:
        """The last entry of a node's log, or what its snapshot covers."""
        return int(self.nodes[name].core._SyncObj__getCurrentLogIndex())

    def payload(self, index: int, term: int) -> bytes:
        """What `fill` and `append` put into an entry."""
        command = b"%d of %d" % (index, term)
        return command if self.kind == "stock" else raft_pb2.LogPayload(command=command).SerializeToString()

    def append(self, receiver: str, sender: str, term: int, prev: tuple[int, int], last: int, commit: int) -> None:
        """A leader's entries of its term after `prev` (index, term) up to `last`, straight to a node."""
        indexes = range(prev[0] + 1, last + 1)
        message: Any
        if self.kind == "stock":
            message = {
                "type": "append_entries", "term": term, "commit_index": commit, "prevLogIdx": prev[0],
                "prevLogTerm": prev[1], "entries": [(pin.REGULAR + self.payload(i, term), i, term) for i in indexes],
            }  # fmt: skip
        else:
            entries = [raft_pb2.LogEntry(index=i, term=term, payload=self.payload(i, term)) for i in indexes]
            append = raft_pb2.AppendEntries(prev_index=prev[0], prev_term=prev[1], entries=entries, commit_index=commit)
            message = raft_pb2.RaftMessage(term=term, append_entries=append)
        self.receive(sender, receiver, message)

    def acknowledge(self, receiver: str, sender: str, term: int, match: int) -> None:
        """A follower's word that its log is the leader's up to `match`; the original's does not say in which term."""
        message: Any = {"type": "next_node_idx", "next_node_idx": match + 1, "reset": False, "success": True}
        if self.kind != "stock":
            response = raft_pb2.AppendResponse(accepted=True, match_index=match)
            message = raft_pb2.RaftMessage(term=term, append_response=response)
        self.receive(sender, receiver, message)

    def vote(self, receiver: str, sender: str, term: int) -> None:
        """A vote."""
        message: Any = {"type": "response_vote", "term": term}
        if self.kind != "stock":
            message = raft_pb2.RaftMessage(term=term, vote_response=raft_pb2.VoteResponse())
        self.receive(sender, receiver, message)

    def lead(self, name: str, term: int) -> None:
        """Make a node the leader of a term without an election."""
        core = self.nodes[name].core
        core._SyncObj__setCurrentTerm(term, name)
        core._SyncObj__setState(pin.CANDIDATE)
        core._SyncObj__onBecomeLeader()

    def settle_commit(self, name: str, index: int) -> None:
        """Let a follower know that entries are committed, and apply them."""
        self.nodes[name].core._SyncObj__raftCommitIndex = index
        self.step(name, 0.0)

    def snapshot_messages(self, sender: str, term: int) -> list[Any]:
        """The snapshot a node has, cut into messages of a leader of `term` that claims `commit`."""
        node = self.nodes[sender]
        messages: list[Any] = []
        if self.kind == "stock":
            maker = node.core._SyncObj__serializer
            while not messages or not messages[-1]["serialized"][2]:
                data = maker.getTransmissionData("copy")
                commit = node.core.raftCommitIndex
                messages.append({"type": "append_entries", "term": term, "commit_index": commit, "serialized": data})
            return messages
        info = node.snapshots.latest()
        for offset in range(0, info.size_bytes, self.settings.chunk_bytes):
            chunk = raft_pb2.SnapshotChunk(
                term=term, index=info.header.last_index, snapshot_term=info.header.last_term, offset=offset,
                size_bytes=info.size_bytes, sha256=info.sha256,
                data=node.snapshots.read_chunk(info, offset, self.settings.chunk_bytes),
            )  # fmt: skip
            messages.append(SnapshotMessage(0, chunk))
        return messages

    def damage_snapshot(self, name: str) -> None:
        """Flip a bit in the middle of a node's newest snapshot on disk."""
        if self.directory is not None and self.kind == "stock":
            path = self.directory / f"{name}.dump"
            path.write_bytes(_flipped(path.read_bytes()))
            return
        files = self.nodes[name].snapshots.files
        files[max(files)] = _flipped(files[max(files)])

    def holders(self, index: int, term: int) -> list[str]:
        """Who has this very entry in the log."""
        return [name for name in self.names if self.nodes[name].log().get(index, (0, b""))[0] == term]


def _flipped(data: bytes) -> bytes:
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 0xFF
    return bytes(damaged)


def on_both(why: str, fails_with: type[Exception] = AssertionError) -> pytest.MarkDecorator:
    """Run a test on both cores; on the original it must fail, in this way and for this reason."""
    fails = pytest.mark.xfail(strict=True, raises=fails_with, reason=f"pysyncobj 0.3.17: {why}")
    return pytest.mark.parametrize("core", [pytest.param("stock", marks=fails), "hardened"])


def with_settings(**changes: Any) -> RaftSettings:
    """The harness's settings with some fields changed."""
    return replace(SETTINGS, **changes)
