"""What the Raft core needs from the outside: a durable log, a place for snapshots, and a way to reach peers.

Production has one implementation of each (`wal`, `snapshots`, `transport`); simulation has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from weftmesh.mesh.v1 import raft_pb2


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log."""

    index: int
    term: int
    payload: bytes
    """A serialized LogPayload; empty for a new leader's own entry."""


class LogStorage(Protocol):
    """The log and the hard state (term, vote), in memory and on disk.

    `base_index` and `base_term` name the last entry that a snapshot covers (or the convention that entry 1 of term 0
    exists on every node); the entries held are base_index + 1 to last_index. Writes go to the file at once and are
    durable only after a sync, but for the hard state. An entry may have to be read back from disk: DataCorruptionError
    tells that it no longer verifies.
    """

    base_index: int
    base_term: int
    last_index: int
    term: int
    vote: str
    """The node voted for in `term`; empty for none."""
    durable_index: int
    """Entries up to here survive a power cut. Lowered by truncation, also below a sync that is under way."""
    written_mark: int
    """Counts up with every write; what it was when an acknowledgement was prepared..."""
    durable_mark: int
    """... may leave once this has reached it."""

    def entry(self, index: int) -> Entry:
        """The entry at `index`, base_index < index <= last_index."""

    def term_at(self, index: int) -> int | None:
        """The term of the entry at `index`, the base included; None outside of what is held."""

    def size_at(self, index: int) -> int:
        """The bytes of the payload at `index`, base_index < index <= last_index."""

    def entries_from(self, index: int, limit_bytes: int) -> list[Entry]:
        """Entries from `index` on, at least one if there is one, together at most about `limit_bytes`."""

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries that follow last_index without a gap."""

    def truncate_from(self, index: int) -> None:
        """Drop the entry at `index` and all after it."""

    def compact_to(self, index: int) -> None:
        """Forget entries up to and including `index`, which is held and covered by a durable snapshot."""

    def reset(self, index: int, term: int) -> None:
        """Drop every entry; the base is (index, term), which a durable snapshot covers."""

    def set_hard_state(self, term: int, vote: str) -> None:
        """Remember term and vote; durable when this returns."""

    def sync(self) -> None:
        """Make everything written durable before returning."""

    def start_sync(self, done: Callable[[], None]) -> bool:
        """Begin a sync in the writer thread unless one is running (returns False) or nothing is unwritten (False).

        `done` is called on the event loop after durable_index and durable_mark have moved; on an I/O error the
        failure callback given at construction is called instead, and nothing counts as durable.
        """

    def close(self) -> None:
        """Sync and close."""


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A complete, verified snapshot file."""

    header: raft_pb2.SnapshotHeader
    path: Path
    size_bytes: int
    sha256: bytes


class SnapshotStorage(Protocol):
    """Snapshot files: written beside, synced, renamed, verified before use; the newest two are kept."""

    def latest(self) -> SnapshotInfo | None:
        """The newest snapshot.

        Raises:
            DataCorruptionError: there are snapshots, and the newest does not verify.
        """

    def write(self, header: raft_pb2.SnapshotHeader, rows: Iterator[bytes]) -> SnapshotInfo:
        """Write one, durable at return. Called in a thread."""

    def rows(self, info: SnapshotInfo) -> Iterator[bytes]:
        """The rows behind the header, each verified."""

    def holds(self, info: SnapshotInfo) -> bool:
        """Whether the file is still there; two newer ones replace it."""

    def read_chunk(self, info: SnapshotInfo, offset: int, size: int) -> bytes:
        """A piece of the file, for a peer. Called in a thread.

        Raises:
            NotFoundError: two newer ones have replaced it.
        """

    def receive_chunk(self, chunk: raft_pb2.SnapshotChunk) -> int:
        """Put a piece of a peer's snapshot in place; returns the offset that is wanted next.

        Another transfer (index, term, sha256) discards the one under way; a piece at another offset than the one
        wanted changes nothing.
        """

    def finish_receive(self, chunk: raft_pb2.SnapshotChunk) -> SnapshotInfo:
        """Verify the complete file and make it the newest, durable at return. Called in a thread, with no piece
        received meanwhile.

        Raises:
            DataCorruptionError: size, digest or a row does not fit; the partial file is gone.
        """


class TransportEvents(Protocol):
    """What the transport tells the core, always on the event loop and never from within `send`."""

    def on_messages(self, peer: str, messages: Sequence[raft_pb2.RaftMessage]) -> None:
        """Messages from an authenticated peer, in its order."""

    def on_snapshot_chunk(self, peer: str, chunk: raft_pb2.SnapshotChunk) -> raft_pb2.InstallSnapshotResponse | None:
        """A piece of an authenticated peer's snapshot, or its offer without data; what is answered to it.

        None for what no correct peer sends, and from an engine that has stopped: the call is to be ended.
        """

    def on_snapshot_sent(self, peer: str, answer: raft_pb2.InstallSnapshotResponse | None) -> None:
        """What `send_snapshot` began is over: with the peer's last answer, or None when the call broke."""

    def on_connected(self, peer: str) -> None:
        """This node can send to `peer`."""

    def on_disconnected(self, peer: str) -> None:
        """What was queued for `peer` is gone."""


class Transport(Protocol):
    """Carries messages to peers: in order, never twice, and dropped rather than late across a reconnect."""

    async def start(self, events: TransportEvents) -> None:
        """Begin to connect and to deliver."""

    async def stop(self) -> None:
        """Drop every stream."""

    def set_peers(self, peers: Mapping[str, str]) -> None:
        """Connect to exactly these (name to host:port) and drop the rest."""

    def send(self, peer: str, message: raft_pb2.RaftMessage) -> bool:
        """Queue a message; False when the peer is not connected. What one loop iteration queues leaves together."""

    def send_snapshot(self, peer: str, offer: raft_pb2.SnapshotChunk, read: Callable[[int], bytes]) -> bool:
        """Begin to send a snapshot beside the messages; False when the peer is not connected or one is on its way.

        Args:
            peer: whom to.
            offer: a chunk without data. The peer answers with the offset that it wants the chunks to begin at.
            read: gives the piece at an offset; called in a thread, and whatever it raises ends the call.
        """

    def connected(self, peer: str) -> bool:
        """Whether this node can send to `peer`."""
