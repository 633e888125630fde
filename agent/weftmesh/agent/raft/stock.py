"""pysyncobj's core under typed names: its private state, its peers, and the few messages it still sends itself."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, TypeVar

from weftmesh.agent.raft import codec
from weftmesh.agent.raft.engine import StateMachine
from weftmesh.agent.raft.journal import StorageJournal
from weftmesh.agent.raft.membership import NO_VOTERS, Voters
from weftmesh.agent.raft.pin import LEADER, Node, SyncObj, SyncObjConf, Transport, monotonic_s
from weftmesh.agent.raft.ports import LogStorage, SnapshotStorage
from weftmesh.agent.raft.proposals import Proposals
from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.mesh.v1 import raft_pb2

T = TypeVar("T")
KNOWN_PEERS_LIMIT = 1024
UNUSED_QUEUE_SIZE = 1


class Private(Generic[T]):
    """One private attribute of SyncObj under a name and a type."""

    def __init__(self, name: str) -> None:
        self._key = f"_SyncObj__{name}"

    def __get__(self, owner: Any, _type: type) -> T:
        return owner.__dict__[self._key]  # type: ignore[no-any-return]

    def __set__(self, owner: Any, value: T) -> None:
        owner.__dict__[self._key] = value


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
    wall_us: Callable[[], int]
    """Microseconds since 1970."""
    founding: bool = False
    seeds: Voters = field(default_factory=lambda: NO_VOTERS)
    """Peers to stay connected to while this node is no voter."""
    settings: RaftSettings = field(default_factory=RaftSettings)


class StockCore(SyncObj):  # type: ignore[misc]  # pysyncobj has no annotations
    """SyncObj with its transport, journal and poller replaced, and nothing else changed."""

    _role = Private[int]("raftState")
    _term = Private[int]("raftCurrentTerm")
    _leader = Private["Peer | None"]("raftLeader")
    _election_deadline_s = Private[float]("raftElectionDeadline")
    _commit = Private[int]("raftCommitIndex")
    _leader_commit = Private["int | None"]("leaderCommitIndex")
    _applied = Private[int]("raftLastApplied")
    _match = Private[dict[Peer, int]]("raftMatchIndex")
    _last_response_s = Private[dict[Peer, float]]("lastResponseTime")
    _others = Private[set[Peer]]("otherNodes")
    _connected = Private[set[Peer]]("connectedNodes")
    _noop_index = Private["int | None"]("noopIDx")
    _told_to_campaign = Private[bool]("transferInProgress")

    def __init__(self, parts: CoreParts) -> None:
        # before the original constructor: it looks at every attribute of a subclass
        self._parts = parts
        self._settings = parts.settings
        self._storage = parts.storage
        super().__init__(peer_of(parts.name), [], self._configuration(), transport=Outbox(parts.send))
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
            leaderFallbackTimeout=settings.election_max_s,
            connectionTimeout=settings.election_max_s,
            journalFile=StorageJournal(self._storage),
            useFork=False,
            onStateChanged=self._on_state_changed,
        )

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
