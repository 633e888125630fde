"""What a node says about itself and the others."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from weftmesh.agent.audit.auditing import Auditor
from weftmesh.agent.board.homes import Homes
from weftmesh.agent.board.service import BoardServicer
from weftmesh.agent.board.sync_meter import PROMISE_MS, WINDOW_MS, SyncMeter
from weftmesh.agent.offline.queue import WriteQueue
from weftmesh.agent.raft.engine import RaftStatus, Role
from weftmesh.core.features.levels import SUPPORTED_LEVEL
from weftmesh.mesh.v1 import mesh_pb2
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.version import VERSION

_ROLES: Final = {
    Role.FOLLOWER: mesh_pb2.ROLE_FOLLOWER,
    Role.CANDIDATE: mesh_pb2.ROLE_CANDIDATE,
    Role.LEADER: mesh_pb2.ROLE_LEADER,
    Role.JOINING: mesh_pb2.ROLE_JOINING,
    Role.OBSERVER: mesh_pb2.ROLE_OBSERVER,
}
_PAGE_BYTES: Final = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What does not change while the node runs."""

    node: str
    cluster: str
    listen_address: str
    fsync: bool
    started_at: datetime


class StatusReporter:
    """Answers GetStatus and ListMembers from what the parts of the node know."""

    def __init__(
        self,
        facts: NodeFacts,
        homes: Homes,
        meter: SyncMeter,
        board: BoardServicer,
        identity: NodeIdentity,
        queue: WriteQueue,
        auditor: Auditor,
    ) -> None:
        self._facts = facts
        self._homes = homes
        self._meter = meter
        self._board = board
        self._identity = identity
        self._queue = queue
        self._auditor = auditor

    def node_status(self) -> mesh_pb2.NodeStatus:
        """A moment of this node."""
        raft = self._homes.mesh.engine.status()
        board = self._homes.mesh.board
        status = mesh_pb2.NodeStatus(
            node=self._facts.node,
            cluster=self._facts.cluster,
            version=VERSION,
            role=_ROLES[raft.role],
            leader=raft.leader,
            quorum=raft.quorum,
            term=raft.term,
            commit_index=raft.commit_index,
            applied_index=raft.applied_index,
            log_first_index=raft.first_index,
            log_last_index=raft.last_index,
            log_last_term=raft.last_term,
            snapshot_index=raft.snapshot_index,
            revision=board.revision,
            state_hash=board.state_hash,
            tasks=board.task_count,
            projects=board.project_count,
            sync_latency=self._sync_latency(),
            fsync=self._facts.fsync,
            rss_bytes=rss_bytes(),
            pending_proposals=raft.pending + self._homes.mesh.writer.pending,
            watchers=self._board.watchers,
            listen_address=self._facts.listen_address,
            members=self.members(raft),
            queued_writes=len(self._queue) - self._queue.refused_count,
            failed_queued_writes=self._queue.refused_count,
            damaged_queue_parts=self._queue.damaged_parts,
            last_audit=self._auditor.last,
            supported_feature_level=SUPPORTED_LEVEL,
            feature_level=self._homes.mesh.machine.feature_level,
        )
        status.current_time.GetCurrentTime()
        status.start_time.FromDatetime(self._facts.started_at)
        status.certificate_expire_time.FromDatetime(self._identity.material.not_after)
        return status

    def members(self, raft: RaftStatus | None = None) -> list[mesh_pb2.Member]:
        """Every member, sorted by name."""
        raft = raft or self._homes.mesh.engine.status()
        peers = {peer.name: peer for peer in raft.peers}
        members = []
        for name, address in sorted({**raft.observers, **raft.voters}.items()):
            leader = name == raft.leader
            member = mesh_pb2.Member(name=name, address=address, leader=leader, role=member_role(raft, name))
            if name == self._facts.node:
                member.self = True
                member.connected = True
                member.match_index = raft.last_index if raft.role is Role.LEADER else 0
            elif peer := peers.get(name):
                member.connected = peer.connected
                member.match_index = peer.match_index
            member.revoked = self._homes.mesh.machine.trust.read.is_shut_out(name)
            members.append(member)
        return members

    def _sync_latency(self) -> mesh_pb2.SyncLatency:
        measured = self._meter.latency()
        message = mesh_pb2.SyncLatency(samples=measured.samples, promise_kept=measured.promise_kept)
        message.p50.FromMicroseconds(round(measured.p50_ms * 1000))
        message.p99.FromMicroseconds(round(measured.p99_ms * 1000))
        message.promise.FromMicroseconds(round(PROMISE_MS * 1000))
        message.window.FromMilliseconds(WINDOW_MS)
        return message


def member_role(raft: RaftStatus, name: str) -> mesh_pb2.MemberRole:
    """What a node is to the others; unspecified for one that is no member."""
    if name in raft.voters:
        return mesh_pb2.MEMBER_ROLE_VOTER
    if name in raft.joining:
        return mesh_pb2.MEMBER_ROLE_JOINING
    return mesh_pb2.MEMBER_ROLE_OBSERVER if name in raft.observers else mesh_pb2.MEMBER_ROLE_UNSPECIFIED


def rss_bytes() -> int:
    """This process's resident memory now; its peak where /proc is absent."""
    statm = Path("/proc/self/statm")
    if sys.platform == "linux" and statm.exists():
        return int(statm.read_text().split()[1]) * _PAGE_BYTES
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
