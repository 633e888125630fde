"""The replicated log: who leads, how far it is, and what its disk takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from weftmesh.agent.metrics.disk_meter import MeteredDisk, MeteredSnapshots
from weftmesh.agent.raft.engine import RaftEngine, RaftStatus, Role
from weftmesh.agent.raft.snapshots.store import SUFFIX
from weftmesh.runtime.metrics.model import Exposition, Kind, Metric

ROLE: Final = Metric("weftmesh_raft_role", Kind.GAUGE, "1 for what this node is now, 0 for the rest.", labels=("role",))
TERM: Final = Metric("weftmesh_raft_term", Kind.GAUGE, "The present term.")
QUORUM: Final = Metric(
    "weftmesh_raft_quorum", Kind.GAUGE, "1 if this node leads a majority or heard from a leader lately, else 0."
)
COMMIT_INDEX: Final = Metric("weftmesh_raft_commit_index", Kind.GAUGE, "The newest entry known to be committed.")
APPLIED_INDEX: Final = Metric("weftmesh_raft_applied_index", Kind.GAUGE, "The newest entry applied here.")
LAST_INDEX: Final = Metric("weftmesh_raft_last_index", Kind.GAUGE, "The newest entry in the log.")
LEADER_CHANGES: Final = Metric(
    "weftmesh_raft_leader_changes", Kind.COUNTER, "Times that this node came to know another leader."
)
ELECTIONS: Final = Metric("weftmesh_raft_elections", Kind.COUNTER, "Terms in which this node stood for election.")
VOTERS: Final = Metric("weftmesh_raft_voters", Kind.GAUGE, "Members that vote.")
OBSERVERS: Final = Metric("weftmesh_raft_observers", Kind.GAUGE, "Members that do not vote.")
PENDING: Final = Metric("weftmesh_raft_pending_proposals", Kind.GAUGE, "Proposals of this node without an outcome yet.")
PEER_CONNECTED: Final = Metric(
    "weftmesh_raft_peer_connected", Kind.GAUGE, "1 if this node can send to that member, else 0.", labels=("peer",)
)
PEER_BEHIND: Final = Metric(
    "weftmesh_raft_peer_behind_entries",
    Kind.GAUGE,
    "On the leader: entries that a member is not known to have on its disk.",
    labels=("peer",),
)
FSYNC: Final = Metric(
    "weftmesh_wal_fsync_duration_seconds", Kind.HISTOGRAM, "Syncs of the mesh's write-ahead log.", "seconds"
)
WAL_SIZE: Final = Metric("weftmesh_wal_size_bytes", Kind.GAUGE, "Segments of the mesh's log on the disk.", "bytes")
SNAPSHOT_SIZE: Final = Metric("weftmesh_snapshot_size_bytes", Kind.GAUGE, "The newest snapshot.", "bytes")
SNAPSHOT_TIME: Final = Metric(
    "weftmesh_snapshot_timestamp_seconds", Kind.GAUGE, "When the newest snapshot was complete, Unix time.", "seconds"
)
SNAPSHOT_INDEX: Final = Metric("weftmesh_snapshot_index", Kind.GAUGE, "The last entry that a snapshot covers.")
SNAPSHOTS: Final = Metric("weftmesh_snapshots_written", Kind.COUNTER, "Snapshots that this node wrote.")
SNAPSHOT_DURATION: Final = Metric(
    "weftmesh_snapshot_duration_seconds", Kind.GAUGE, "What the last one that it wrote took.", "seconds"
)
RAFT_METRICS: Final = (
    *(ROLE, TERM, QUORUM, COMMIT_INDEX, APPLIED_INDEX, LAST_INDEX, LEADER_CHANGES, ELECTIONS, VOTERS, OBSERVERS),
    *(PENDING, PEER_CONNECTED, PEER_BEHIND, FSYNC, WAL_SIZE),
    *(SNAPSHOT_SIZE, SNAPSHOT_TIME, SNAPSHOT_INDEX, SNAPSHOTS, SNAPSHOT_DURATION),
)


class LogMeter:
    """What is measured where the mesh's log lies; made before the log is opened.

    Attributes:
        wal: where its segments are.
        disk: of the log.
        snapshots: of the log.
    """

    def __init__(self, directory: Path, cluster: str, *, fsync: bool) -> None:
        self._directory = directory
        self.wal = directory / "wal"
        self.disk = MeteredDisk(fsync=fsync)
        self.snapshots = MeteredSnapshots(directory / "snapshots", cluster)

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        out.add(FSYNC, self.disk.sync_times)
        out.add(SNAPSHOTS, self.snapshots.written)
        if self.snapshots.last_duration_s is not None:
            out.add(SNAPSHOT_DURATION, self.snapshots.last_duration_s)
        try:
            out.add(WAL_SIZE, sum(one.stat().st_size for one in os.scandir(self.wal) if one.is_file()))
            kept = [one for one in os.scandir(self._directory / "snapshots") if one.name.endswith(SUFFIX)]
            if kept:
                newest = max(kept, key=lambda one: one.name).stat()
                out.add(SNAPSHOT_SIZE, newest.st_size)
                out.add(SNAPSHOT_TIME, newest.st_mtime)
        except FileNotFoundError:
            return  # one was replaced meanwhile; the next scrape tells


class RaftCollector:
    """What the engine of the mesh's log says, and how often that changed."""

    def __init__(self, engine: RaftEngine) -> None:
        self._engine = engine
        self._leader = ""
        self._stood_in = 0
        self._leader_changes = 0
        self._elections = 0
        engine.on_change(self._note)

    def _note(self, status: RaftStatus) -> None:
        if status.leader and status.leader != self._leader:
            self._leader_changes += 1
            self._leader = status.leader
        stands = status.role is Role.CANDIDATE or status.role is Role.LEADER
        if stands and status.term != self._stood_in:
            self._elections += 1
            self._stood_in = status.term

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        status = self._engine.status()
        for role in Role:
            out.add(ROLE, int(status.role is role), role.value)
        out.add(TERM, status.term)
        out.add(QUORUM, int(status.quorum))
        out.add(COMMIT_INDEX, status.commit_index)
        out.add(APPLIED_INDEX, status.applied_index)
        out.add(LAST_INDEX, status.last_index)
        out.add(SNAPSHOT_INDEX, status.snapshot_index)
        out.add(LEADER_CHANGES, self._leader_changes)
        out.add(ELECTIONS, self._elections)
        out.add(VOTERS, len(status.voters))
        out.add(OBSERVERS, len(status.observers))
        out.add(PENDING, status.pending)
        for peer in status.peers:
            out.add(PEER_CONNECTED, int(peer.connected), peer.name)
            if status.role is Role.LEADER:
                out.add(PEER_BEHIND, max(0, status.last_index - peer.match_index), peer.name)
