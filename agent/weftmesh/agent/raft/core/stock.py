"""pysyncobj's core under typed names: its private state, its peers, and the few messages it still sends itself."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any

from weftmesh.agent.raft.core import codec
from weftmesh.agent.raft.core.journal import StorageJournal
from weftmesh.agent.raft.core.membership import NO_VOTERS, Voters
from weftmesh.agent.raft.core.pin import LEADER, Node, SyncObj, SyncObjConf, Transport, monotonic_s
from weftmesh.agent.raft.core.proposals import ID_BITS, Proposals
from weftmesh.agent.raft.engine import StateMachine
from weftmesh.agent.raft.ports import LogStorage, SnapshotInfo, SnapshotStorage
from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.mesh.v1 import raft_pb2

KNOWN_PEERS_LIMIT = 1024
UNUSED_QUEUE_SIZE = 1
NEVER_S = 1e9


def private(name: str) -> Any:
    """One private attribute of SyncObj as a property; read without a Python frame, as ticks read them all the time."""
    key = f"_SyncObj__{name}"

    def write(owner: Any, value: Any) -> None:
        setattr(owner, key, value)

    return property(attrgetter(key), write)


class Peer(Node):  # type: ignore[misc]  # pysyncobj has no annotations
    """A node by its name. Sets of peers iterate alike in every process, which a hash of str would not give."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._hash = zlib.crc32(name.encode())

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Peer) and self._id == other._id)

    @property
    def name(self) -> str:
        """The node's name."""
        return str(self._id)


@lru_cache(maxsize=KNOWN_PEERS_LIMIT)
def peer_of(name: str) -> Peer:
    """The peer of this name; shared, because comparing distinct ones is slow."""
    return Peer(name)


class Outbox(Transport):  # type: ignore[misc]  # pysyncobj has no annotations
    """Where pysyncobj sends. It offers none of the administration messages that the original answers to anybody."""

    ready = True

    def __init__(self, send: Callable[[str, raft_pb2.RaftMessage], bool]) -> None:
        super().__init__(None, None, [])
        self._send = send

    def send(self, node: Peer, message: dict[str, Any]) -> bool:
        """Encode and queue."""
        return self._send(node.name, codec.encode_stock(message))

    def destroy(self) -> None:
        """The engine owns what is behind it."""


class NoPoller:
    """Stands for the socket poller, which has no sockets here."""

    def poll(self, _timeout_s: float) -> None:
        """Nothing to wait for."""


@dataclass(slots=True)
class CoreParts:
    """What the core works with. All callables are called on the event loop."""

    name: str
    address: str
    cluster: str
    storage: LogStorage
    snapshots: SnapshotStorage
    machine: StateMachine
    proposals: Proposals
    send: Callable[[str, raft_pb2.RaftMessage], bool]
    set_peers: Callable[[Voters], None]
    write_snapshot: Callable[[raft_pb2.SnapshotHeader, Callable[[], Iterator[bytes]]], None]
    """Write header and rows in a thread and call `snapshot_written` with the result."""
    send_snapshot: Callable[[str, raft_pb2.SnapshotChunk, SnapshotInfo], bool]
    """Begin to send a snapshot to a peer and call `snapshot_sent` at the end; False if that is not possible now."""
    prepare_snapshot: Callable[[raft_pb2.SnapshotChunk], None]
    """Finish a snapshot that was received, and read it, in a thread; then call `snapshot_prepared`."""
    wall_us: Callable[[], int]
    """Microseconds since 1970."""
    first_read_id: int = field(default_factory=lambda: secrets.randbits(ID_BITS))
    """Reads are numbered from here on: an answer for an earlier run of this process matches nothing."""
    founding: bool = False
    seeds: Voters = field(default_factory=lambda: NO_VOTERS)
    """Peers to stay connected to while this node is no voter."""
    settings: RaftSettings = field(default_factory=RaftSettings)


class StockCore(SyncObj):  # type: ignore[misc]  # pysyncobj has no annotations
    """SyncObj with its transport, journal and poller replaced, and nothing else changed."""

    _role: int = private("raftState")
    _term: int = private("raftCurrentTerm")
    _leader: Peer | None = private("raftLeader")
    _election_deadline_s: float = private("raftElectionDeadline")
    _commit: int = private("raftCommitIndex")
    _leader_commit: int | None = private("leaderCommitIndex")
    _applied: int = private("raftLastApplied")
    _match: dict[Peer, int] = private("raftMatchIndex")
    _last_response_s: dict[Peer, float] = private("lastResponseTime")
    _others: set[Peer] = private("otherNodes")
    _connected: set[Peer] = private("connectedNodes")
    _noop_index: int | None = private("noopIDx")
    _told_to_campaign: bool = private("transferInProgress")

    def __init__(self, parts: CoreParts) -> None:
        # before the original constructor: it looks at every attribute of a subclass
        self._parts = parts
        self._settings = parts.settings
        self._storage = parts.storage
        super().__init__(peer_of(parts.name), [], self._configuration(), transport=Outbox(self._send_stock))
        self._poller = NoPoller()
        # there is no dump file: the snapshot is loaded before the first message, not at the first tick
        self._SyncObj__needLoadDumpFile = False

    def _configuration(self) -> Any:
        settings = self._settings
        return SyncObjConf(
            autoTick=False,
            commandsQueueSize=UNUSED_QUEUE_SIZE,
            raftMinTimeout=settings.election_min_s,
            raftMaxTimeout=settings.election_max_s,
            appendEntriesPeriod=settings.heartbeat_s,
            leaderFallbackTimeout=NEVER_S,
            connectionTimeout=settings.election_max_s,
            journalFile=StorageJournal(self._storage),
            useFork=False,
            onStateChanged=self._on_state_changed,
        )

    def _send_stock(self, name: str, message: raft_pb2.RaftMessage) -> bool:
        """What the original itself has to say."""
        return self._parts.send(name, message)

    def _on_state_changed(self, _old: int, _new: int) -> None:
        """Called by the original after each change of role."""

    @property
    def leads(self) -> bool:
        """Whether this node believes that it leads."""
        return self._role == LEADER

    def _send(self, peer: Peer, **kind: Any) -> bool:
        return self._parts.send(peer.name, raft_pb2.RaftMessage(term=self._term, **kind))

    def _new_election_deadline(self) -> None:
        self._election_deadline_s = monotonic_s() + self._SyncObj__generateRaftTimeout()

    def _is_connected(self, peer: Peer) -> bool:
        return peer in self._connected
