"""The engine of this project on simulated disks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from typing import Any

from tests.fakes.snapshot_calls import SnapshotCalls, SnapshotMessage
from tests.simulation.disks import LogOnDisk, SimulatedLog, SimulatedSnapshots
from tests.simulation.machine import Registers
from tests.simulation.node import Node

from weftmesh.agent.raft import node as engine_module
from weftmesh.agent.raft.core.hardened import HardenedSyncObj
from weftmesh.agent.raft.core.membership import Voters, to_membership
from weftmesh.agent.raft.node import PysyncobjEngine
from weftmesh.agent.raft.ports import Entry, TransportEvents
from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.mesh.v1 import raft_pb2

CALL_LIMIT_S = 0.6
CLUSTER = "simulation"
FIRST_INDEX = 2
"""Of the entry with the voters that a founded cluster begins with."""


class NodeTransport:
    """A `Transport` on the simulated network."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.events: TransportEvents | None = None
        first = node.world.rng.getrandbits(32)
        self.calls = SnapshotCalls(first, node.send, self._take_chunk, self._call_over)

    async def start(self, events: TransportEvents) -> None:
        """As `Transport.start`."""
        self.events = events

    async def stop(self) -> None:
        """As `Transport.stop`."""
        self._node.set_peers({})

    def set_peers(self, peers: Mapping[str, str]) -> None:
        """As `Transport.set_peers`."""
        self._node.set_peers(peers)

    def send(self, peer: str, message: raft_pb2.RaftMessage) -> bool:
        """As `Transport.send`."""
        return self._node.send(peer, message)

    def send_snapshot(self, peer: str, offer: raft_pb2.SnapshotChunk, read: Callable[[int], bytes]) -> bool:
        """As `Transport.send_snapshot`. A call that hangs, because a message was lost, breaks after a while."""
        call = self.calls.begin(peer, offer, read)
        if call:
            asyncio.get_running_loop().call_later(CALL_LIMIT_S, self.calls.end, peer, call)
        return bool(call)

    def connected(self, peer: str) -> bool:
        """As `Transport.connected`."""
        return self._node.network.connected(self._node.name, peer)

    def deliver(self, sender: str, messages: Sequence[Any]) -> None:
        """What arrived together, in its order."""
        assert self.events is not None
        for snapshot, run in groupby(messages, lambda message: isinstance(message, SnapshotMessage)):
            if snapshot:
                for message in run:
                    self.calls.receive(sender, message)
            else:
                self.events.on_messages(sender, list(run))

    def link(self, peer: str, up: bool) -> None:
        """A stream came up or broke, and a call with it."""
        assert self.events is not None
        if up:
            self.events.on_connected(peer)
        else:
            self.calls.end(peer)
            self.events.on_disconnected(peer)

    def _take_chunk(self, peer: str, chunk: raft_pb2.SnapshotChunk) -> raft_pb2.InstallSnapshotResponse | None:
        return None if self.events is None else self.events.on_snapshot_chunk(peer, chunk)

    def _call_over(self, peer: str, answer: raft_pb2.InstallSnapshotResponse | None) -> None:
        if self.events is not None:
            self.events.on_snapshot_sent(peer, answer)


def _see(path: str) -> Any:
    """An attribute of a part, read without a Python frame: it is looked at after every step."""
    return property(attrgetter(path))


class EngineCore:
    """A life of the engine, as the invariants look into it."""

    def __init__(self, engine: PysyncobjEngine, transport: NodeTransport, machine: Registers, log: LogOnDisk) -> None:
        self.engine, self.transport = engine, transport
        self.machine, self._log = machine, log
        self._core = engine._core

    deliver: Any = _see("transport.deliver")
    link: Any = _see("transport.link")
    leads: bool = _see("_core.leads")
    term: int = _see("_core._term")
    commit: int = _see("_core._commit")
    applied: int = _see("_core._applied")
    voters: Voters = _see("_core.voters")
    last_index: int = _see("_log.last_index")

    @property
    def first_index(self) -> int:
        """The first entry that its log holds."""
        return self._log.base_index + 1

    def entry(self, index: int) -> tuple[int, bytes]:
        """Term and payload."""
        entry = self._log.entry(index)
        return entry.term, entry.payload


@contextmanager
def _running(core_class: type[HardenedSyncObj]) -> Iterator[None]:
    """Engines made meanwhile have this core."""
    module: Any = engine_module
    original, module.HardenedSyncObj = module.HardenedSyncObj, core_class
    try:
        yield
    finally:
        module.HardenedSyncObj = original


class EngineDisk:
    """Log and snapshots of a node.

    Args:
        settings: of every life.
        voters: of a cluster that is founded at once; none for a node that joins.
    """

    reads = True
    original = False

    core_class: type[HardenedSyncObj] = HardenedSyncObj
    """A mutant has another one..."""
    log_class: Callable[[Node], LogOnDisk] = SimulatedLog
    """... or another disk."""

    def __init__(self, settings: RaftSettings, voters: Voters) -> None:
        self._settings, self._voters = settings, voters
        self.log: LogOnDisk | None = None
        self.snapshots: SimulatedSnapshots | None = None

    @property
    def unsynced(self) -> int:
        """Writes that a power cut may lose."""
        return self.log.unsynced if self.log is not None else 0

    def boot(self, node: Node) -> EngineCore:
        """Begin a life from what is there."""
        if self.log is None or self.snapshots is None:
            make_log = type(self).log_class
            self.log, self.snapshots = make_log(node), SimulatedSnapshots(node)
            if self._voters:
                payload = raft_pb2.LogPayload(membership=to_membership(self._voters)).SerializeToString()
                self.log.append([Entry(FIRST_INDEX, 1, payload)])
                self.log.set_hard_state(1, "")
        else:
            self.log, self.snapshots = self.log.reopen(), self.snapshots.reopen()
        machine, transport = Registers(node.invariants, node.name), NodeTransport(node)
        with _running(self.core_class):
            engine = PysyncobjEngine(
                node.name, f"{node.name}:1", CLUSTER, self.log, self.snapshots, transport, machine,
                node.founding, self._settings, node.fatal, seeds=node.seeds,
            )  # fmt: skip
        return EngineCore(engine, transport, machine, self.log)

    def power_cut(self, keep: int) -> None:
        """Lose all but the first `keep` un-synced writes."""
        if self.log is not None:
            self.log.cut(keep)

    def has_durable(self, index: int, term: int) -> bool:
        """Whether a power cut now would leave this committed entry."""
        if self.log is None or self.snapshots is None:
            return False
        return self.snapshots.durable_index >= index or self.log.durable_term_at(index) == term

    def damage(self, node: Node) -> None:
        """Flip a bit of what was synced: of the snapshot, or of the log."""
        assert self.log is not None
        assert self.snapshots is not None
        if self.snapshots.files and node.world.chance(0.5):
            self.snapshots.damage(node.world.rng.random())
        else:
            self.log.damaged = True

    def take_snapshot(self, node: Node) -> None:
        """Have the engine take one now."""
        core = node.core
        if isinstance(core, EngineCore):
            node.act(core.engine._core.take_snapshot)

    def encode(self, message: raft_pb2.RaftMessage | SnapshotMessage) -> bytes | SnapshotMessage:
        """For the wire; what belongs to a call is not changed by anybody."""
        return message if isinstance(message, SnapshotMessage) else message.SerializeToString()

    def decode(self, encoded: bytes | SnapshotMessage) -> raft_pb2.RaftMessage | SnapshotMessage:
        """From the wire."""
        return encoded if isinstance(encoded, SnapshotMessage) else raft_pb2.RaftMessage.FromString(encoded)

    def kind(self, encoded: bytes | SnapshotMessage) -> str:
        """The kind of a message."""
        return str(self.decode(encoded).WhichOneof("kind"))
