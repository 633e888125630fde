"""Snapshots: taken, loaded, sent and received. The hazards of snapshots.

What takes long happens in threads beside the loop: to write one, to send one, and to read one that came. The core only
decides, and what it decided it checks again when the thread is done, because everything may have changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from weftmesh.agent.raft.core.applying import Applying
from weftmesh.agent.raft.core.codec import ProtocolError, check_chunk, parse_payload
from weftmesh.agent.raft.core.fencing import check_level, configuration_in
from weftmesh.agent.raft.core.membership import NO_MEMBERS, Configuration, from_membership, to_membership
from weftmesh.agent.raft.core.pin import monotonic_s
from weftmesh.agent.raft.core.progress import FIRST_INDEX, Progress, Transfer
from weftmesh.agent.raft.core.stock import CoreParts, Peer, peer_of
from weftmesh.agent.raft.engine import Swap
from weftmesh.agent.raft.ports import SnapshotInfo
from weftmesh.core.errors import DataCorruptionError, InvalidInputError
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.data_formats import check_format

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Prepared:
    """A snapshot that is durable here, and the state that it holds."""

    info: SnapshotInfo
    swap: Swap


class Installing(Applying):
    """A snapshot replaces pysyncobj's dump file; the log behind it always stays."""

    def __init__(self, parts: CoreParts) -> None:
        self._snapshot: SnapshotInfo | None = None
        self._snapshot_index = FIRST_INDEX
        self._writing_snapshot = False
        self._preparing = False
        super().__init__(parts)

    # loading

    def load(self) -> None:
        """Restore the newest snapshot and what the log says of the voters, before the first message or tick.

        Raises:
            DataCorruptionError: log and snapshot do not fit together.
            UnsupportedLevelError: they are of a later feature level than this build supports.
        """
        info = self._parts.snapshots.latest()
        if info is not None:
            self._adopt(Prepared(info, self._parts.machine.prepare_restore(self._parts.snapshots.rows(info))))
        elif self._storage.base_index != FIRST_INDEX:
            raise DataCorruptionError(
                f"the log begins after entry {self._storage.base_index} and there is no snapshot of what was before; "
                "restore the snapshot, or remove this node from the mesh and let it join again"
            )
        else:
            founder = Configuration({self._parts.name: self._parts.address})
            self._configurations.reset(FIRST_INDEX, founder if self._parts.founding else NO_MEMBERS)
        self._read_configurations()
        # what was read may be in the page cache only, and acknowledgements build on it from now on
        self._storage.sync()
        self._configuration_changed()

    def _adopt(self, prepared: Prepared) -> Iterator[None]:
        """Make a durable snapshot this node's state, and keep what the log has behind it; the former state returns."""
        info = prepared.info
        header, storage = info.header, self._storage
        check_format(info.path, header.format, FORMAT)
        if header.format != FORMAT or header.cluster != self._parts.cluster:
            raise DataCorruptionError(
                f"{info.path} is a snapshot of cluster {header.cluster!r} in format {header.format}, "
                f"this node belongs to {self._parts.cluster!r} and reads format {FORMAT}; check the data directory"
            )
        if storage.base_index > header.last_index:
            raise DataCorruptionError(
                f"the log begins after entry {storage.base_index}, the newest snapshot {info.path} ends at "
                f"{header.last_index}; restore the newer snapshot, or remove this node and let it join again"
            )
        if storage.term_at(header.last_index) != header.last_term:
            storage.reset(header.last_index, header.last_term)
        former = prepared.swap()
        self._snapshot, self._snapshot_index, self._applied_bytes = info, header.last_index, 0
        self._applied = self._commit = self._leader_commit = header.last_index
        self._configurations.reset(header.last_index, from_membership(header.membership))
        return former

    def _read_configurations(self) -> None:
        """The configurations in the entries that no snapshot covers."""
        for index in range(self._snapshot_index + 1, self._storage.last_index + 1):
            try:
                payload = parse_payload(self._storage.entry(index).payload)
            except ProtocolError as error:
                raise DataCorruptionError(
                    f"entry {index} of the log does not parse; remove this node from the mesh and let it join again"
                ) from error
            check_level(payload, index)
            configuration = configuration_in(payload)
            if configuration is not None:
                self._configurations.push(index, configuration)

    # taking

    def _SyncObj__tryLogCompaction(self) -> None:  # noqa: N802 - pysyncobj's name
        """Once a tick: begin a snapshot when enough was applied since the last. Copied here, written in a thread."""
        enough = (
            self._applied - self._snapshot_index >= self._settings.snapshot_every_entries
            or self._applied_bytes >= self._snapshot_due_bytes()
        )
        if enough and not self._writing_snapshot:
            self.take_snapshot()

    def _snapshot_due_bytes(self) -> int:
        last_bytes = self._snapshot.size_bytes if self._snapshot is not None else 0
        return max(self._settings.snapshot_every_bytes, last_bytes // self._settings.snapshot_growth)

    def take_last_snapshot(self) -> None:
        """At a graceful stop: begin one if the next start would have much to apply again."""
        settings = self._settings
        entries = self._applied - self._snapshot_index
        if entries >= settings.last_snapshot_entries or self._applied_bytes >= settings.last_snapshot_bytes:
            self.take_snapshot()

    def take_snapshot(self) -> None:
        """Begin one now, unless one is being written or nothing was applied since the last."""
        if self._writing_snapshot or self._applied <= self._snapshot_index:
            return
        self._writing_snapshot = True
        self._applied_bytes = 0
        header = raft_pb2.SnapshotHeader(
            format=FORMAT,
            last_index=self._applied,
            last_term=self._storage.term_at(self._applied),
            membership=to_membership(*self._configurations.at(self._applied)),
            cluster=self._parts.cluster,
        )
        self._parts.write_snapshot(header, self._parts.machine.snapshot())

    def snapshot_written(self, info: SnapshotInfo) -> None:
        """It is durable: only now may the log before it go, and only if none newer was installed meanwhile."""
        self._writing_snapshot = False
        if info.header.last_index <= self._snapshot_index:
            return
        self._snapshot, self._snapshot_index = info, info.header.last_index
        self._configurations.forget_before(self._snapshot_index)
        keep_from = self._trailing_from()
        # the entries behind a snapshot on its way, or the peer would need another one when it has this
        oldest = keep_from - self._settings.snapshot_every_entries
        keep_from = min(keep_from, max(self._first_transferred(keep_from), oldest))
        if keep_from > self._storage.base_index:
            self._storage.compact_to(keep_from)

    def _trailing_from(self) -> int:
        """The base that leaves enough behind the snapshot for peers that fell behind a little."""
        storage, settings = self._storage, self._settings
        oldest = max(self._snapshot_index - settings.trailing_entries, storage.base_index)
        index, left_bytes = self._snapshot_index, settings.trailing_bytes
        while index > oldest and storage.size_at(index) <= left_bytes:
            left_bytes -= storage.size_at(index)
            index -= 1
        return index

    def _first_transferred(self, otherwise: int) -> int:
        """The oldest snapshot that is on its way to a peer."""
        return otherwise

    # receiving

    def receive_snapshot(self, name: str, chunk: raft_pb2.SnapshotChunk) -> raft_pb2.InstallSnapshotResponse:
        """Take a piece of a peer's snapshot, or its offer without data; the answer says which piece is wanted next.

        Pieces are placed by offset, so none is glued over a gap, and a broken transfer goes on where it broke.

        Raises:
            ProtocolError: it is malformed or impossible; nothing was changed by it but perhaps the term.
        """
        check_chunk(chunk)
        if name == self._parts.name:
            raise ProtocolError(f"a peer presents itself as {name}, which is this node")
        wanted = chunk.size_bytes
        if chunk.term >= self._term:
            self._follow(peer_of(name), chunk.term)
            wanted = self._place(peer_of(name), chunk)
        return raft_pb2.InstallSnapshotResponse(term=self._term, next_offset=wanted)

    def _place(self, leader: Peer, chunk: raft_pb2.SnapshotChunk) -> int:
        """The offset wanted next; the size when there is nothing to send now."""
        if chunk.index <= self._commit:
            # an old snapshot must not take back newer state; what it covers is here
            self._acknowledge(leader, chunk.index)
            return chunk.size_bytes
        if self._preparing:
            return chunk.size_bytes  # this one or another: whoever leads then offers again what is still missing
        try:
            wanted = self._parts.snapshots.receive_chunk(chunk)
        except InvalidInputError as error:
            raise ProtocolError(str(error)) from error
        if wanted >= chunk.size_bytes:
            self._preparing = True
            self._parts.prepare_snapshot(chunk)
        return wanted

    def snapshot_prepared(self, prepared: Prepared | None) -> Iterator[None]:
        """Install what was prepared, unless this node has come further by itself; None if it did not verify.

        Returns:
            What lets go of the former state, in a thread.
        """
        self._preparing = False
        if prepared is None or self.leads or prepared.info.header.last_index <= self._commit:
            # who leads has it all in its log, and newer state must not be taken back
            return iter(())
        former = self._adopt(prepared)
        self._read_configurations()
        self._commit_times.clear()
        self._parts.proposals.covered()
        self._configuration_changed()
        if self._leader is not None:
            self._acknowledge(self._leader, prepared.info.header.last_index)
        return former

    # sending

    def _feed_snapshot(self, peer: Peer, progress: Progress, now_s: float) -> None:
        """Offer a snapshot to a peer whose next entry is no longer in the log, until it says that it has it."""
        transfer = progress.transfer
        if transfer is None or not (transfer.under_way or self._parts.snapshots.holds(transfer.info)):
            if self._snapshot is None:
                raise DataCorruptionError("the log was compacted and there is no snapshot; restore it or re-join")
            transfer = progress.transfer = Transfer(self._snapshot)
        if transfer.under_way or now_s < transfer.offer_at_s:
            return
        info = transfer.info
        offer = raft_pb2.SnapshotChunk(
            term=self._term,
            index=info.header.last_index,
            snapshot_term=info.header.last_term,
            size_bytes=info.size_bytes,
            sha256=info.sha256,
        )
        transfer.offer_at_s = now_s + self._settings.patience_s
        transfer.under_way = self._parts.send_snapshot(peer.name, offer, info)

    def _snapshot_offered(self, progress: Progress) -> None:
        """The call is over: it is offered again, until the peer acknowledges that it has what the snapshot covers."""
        if progress.transfer is not None and progress.transfer.under_way:
            progress.transfer.under_way = False
            progress.transfer.offer_at_s = monotonic_s() + self._settings.patience_s
