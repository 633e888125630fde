"""The composition root: every part of the daemon is made and wired here, started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
import structlog

from weftmesh.agent.audit.acknowledged import AcknowledgedJournal
from weftmesh.agent.audit.auditing import Auditor, Voter
from weftmesh.agent.audit.history_check import HistoryCheck
from weftmesh.agent.audit.service import AuditServicer, RemoteVoter
from weftmesh.agent.backup_service import BackupServicer
from weftmesh.agent.board.homes import MESH, NODE_PREFIX, Home, Homes
from weftmesh.agent.board.machines import LogMachines
from weftmesh.agent.board.service import BoardServicer
from weftmesh.agent.board.sync_meter import SyncMeter
from weftmesh.agent.board.writes import BoardWrites
from weftmesh.agent.enrolment.admission import Admission, members_of
from weftmesh.agent.enrolment.joining import become_member
from weftmesh.agent.learning.room import LearningRoom
from weftmesh.agent.mesh_service import MeshServicer
from weftmesh.agent.offline.queue import WriteQueue
from weftmesh.agent.offline.replayer import Replayer
from weftmesh.agent.offline.service import OfflineWrites
from weftmesh.agent.privacy.anchoring import note_anchors
from weftmesh.agent.privacy.ledger import EgressLedger
from weftmesh.agent.privacy.service import PrivacyServicer
from weftmesh.agent.raft.engine import RaftStatus
from weftmesh.agent.raft.log.disk import SystemDisk
from weftmesh.agent.raft.log.wal import WriteAheadLog
from weftmesh.agent.raft.node import PysyncobjEngine
from weftmesh.agent.raft.peers.null import NullTransport
from weftmesh.agent.raft.peers.transport import CHANNEL_OPTIONS, GrpcTransport, RaftServicer
from weftmesh.agent.raft.ports import Transport
from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.agent.raft.snapshots.store import SnapshotStore
from weftmesh.agent.recovery_service import Abandoned, RecoveryServicer
from weftmesh.agent.serving.callers import Callers
from weftmesh.agent.serving.local_socket import LocalSocketRelay
from weftmesh.agent.serving.servers import Servers
from weftmesh.agent.status import NodeFacts, StatusReporter
from weftmesh.core.clock import HybridClock
from weftmesh.core.ids import new_ulid
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.config import Config
from weftmesh.runtime.files import make_private_directory
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel
from weftmesh.runtime.identity.enrolling import Seed
from weftmesh.runtime.identity.founding import NodeRecord, identity_store, load_seeds
from weftmesh.runtime.memory import give_back
from weftmesh.runtime.notify import notify

REMOVED_GRACE_S: Final = 15.0
"""A leader that was removed has to tell the others that this is committed."""
HAND_OVER_S: Final = 2.0
"""For the next leader to take over when this one stops."""

log = structlog.get_logger("weftmesh.node")


class Node:
    """One node of the mesh.

    Attributes:
        stopping: set to stop the node; set by the node itself when it has left the mesh or cannot go on.
        fatal: why the node cannot go on, if so.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._record = NodeRecord.load(config.node.data_dir)
        self._store = identity_store(config.node.data_dir)
        self._identity = NodeIdentity(self._store.load())
        self._seeds = load_seeds(config.node.data_dir)
        self._random = secrets.SystemRandom()
        self._clock = HybridClock()
        self._meter = SyncMeter()
        self.stopping = asyncio.Event()
        self.fatal: BaseException | None = None
        self._leaving = False
        self._member_names: frozenset[str] = frozenset()
        self._removed_at_s: dict[str, float] = {}
        self._abandoned = Abandoned(config.node.data_dir / "abandoned.json")

    async def run(self) -> None:
        """Start everything, wait until `stopping`, stop everything.

        Raises:
            WeftmeshError: the node cannot start, or could not go on; the message says what to do.
        """
        async with AsyncExitStack() as stack:
            await self._start(stack)
            notify("READY=1")
            await self.stopping.wait()
            notify("STOPPING=1")
            log.info("stopping", why=str(self.fatal) if self.fatal else "asked to")
        if self._leaving:
            kept = set_data_aside(self._config.node.data_dir)
            log.info("left the mesh; the data is kept", directory=str(kept))
        if self.fatal is not None:
            raise self.fatal

    async def _start(self, stack: AsyncExitStack) -> None:
        data_dir, run_dir = self._config.node.data_dir, self._config.node.run_dir
        raft_servicer = RaftServicer(self._record.cluster, self._may_stream, self._record.node)
        transport = GrpcTransport(raft_servicer, self._dial)
        mesh = self._home(MESH, data_dir / "mesh", transport, founding=self._record.founding)
        local = self._home(f"{NODE_PREFIX}{self._record.node}", data_dir / "local", NullTransport(), founding=True)
        self._homes = Homes(mesh, local)
        mesh.feed.on_handed_over(self._meter.handed_over)

        make_private_directory(run_dir / "internal")
        upstream = run_dir / "internal" / "grpc.sock"
        relay = LocalSocketRelay(run_dir / "api.sock", upstream, group=self._config.mesh.group)
        callers = Callers(self._record.node, self._record.cluster, relay.nonce, self._is_member)
        queue = WriteQueue.open(data_dir / "offline", SystemDisk(fsync=self._config.raft.fsync))
        stack.push_async_callback(queue.close)
        writes = BoardWrites(self._homes, self._clock, self._new_ulid)
        offline = OfflineWrites(self._homes, writes, queue, self._clock, self._new_ulid)
        board = BoardServicer(self._homes, writes, offline, callers, self._config.limits.watchers)
        facts = NodeFacts(
            node=self._record.node,
            cluster=self._record.cluster,
            listen_address=self._record.address,
            fsync=self._config.raft.fsync,
            started_at=datetime.now(UTC),
        )
        journal = AcknowledgedJournal.open(data_dir / "acknowledged")
        stack.push_async_callback(journal.close)
        mesh.writer.on_acknowledged = journal.note
        check = HistoryCheck(mesh, journal)
        auditor = Auditor(mesh.engine, lambda name, at: self._voter(name, at, check))
        reporter = StatusReporter(facts, self._homes, self._meter, board, self._identity, queue, auditor)
        admission = Admission(self._config, self._store, self._identity, self._members)
        mesh_service = MeshServicer(self._record.node, mesh.engine, reporter, callers, admission.tokens, self._left)
        servers = Servers(self._config, self._identity, upstream)
        backup = BackupServicer(self._record.node, self._record.cluster, self._homes, callers)
        audit = AuditServicer(check, auditor, callers)
        recovery = RecoveryServicer(facts, mesh, callers, self._abandoned, self._dial, admission.tokens.has_authority)
        ledger = EgressLedger.open(data_dir / "egress", SystemDisk(fsync=self._config.raft.fsync))
        stack.push_async_callback(ledger.close)
        privacy = PrivacyServicer(ledger, callers, self._config.mesh.group)
        learning = LearningRoom(self._config, self._identity, self._homes, callers, self._clock, ledger, self._dial)
        stack.push_async_callback(learning.close)
        servers.add(board, mesh_service, raft_servicer, admission.renewal, backup, audit, recovery, privacy)
        servers.add_learning(learning.service, learning.peer_service)

        mesh.engine.on_change(self._note_members)
        for home in self._homes.all():
            await home.engine.start()
            stack.push_async_callback(home.engine.stop)
        give_back()
        self._note_members(mesh.engine.status())
        await servers.start()
        stack.push_async_callback(servers.stop)
        # Before the servers go: the next leader has to be able to answer.
        stack.push_async_callback(mesh.engine.transfer_leadership, HAND_OVER_S)
        await relay.start()
        stack.push_async_callback(relay.close)
        stack.push_async_callback(servers.finish_local)
        await admission.start()
        stack.push_async_callback(admission.stop)
        replay = Replayer(self._homes, queue).run()
        for work in (self._join(), admission.keep_certificate_fresh(), self._show_quorum(servers), replay):
            self._supervise(stack, work)
        for work in (journal.keep(), auditor.every_night(), note_anchors(ledger)):
            self._supervise(stack, work)
        log.info("ready", node=self._record.node, cluster=self._record.cluster, address=self._record.address)

    def _voter(self, name: str, address: str, this_node: Voter) -> Voter:
        return this_node if name == self._record.node else RemoteVoter(self._dial, name, address)

    def _new_ulid(self) -> str:
        return new_ulid(wall_ms(), self._random)

    def _home(self, name: str, directory: Path, transport: Transport, *, founding: bool) -> Home:
        raft = self._config.raft
        machine = LogMachines(name, self._clock)
        storage = WriteAheadLog.open(directory / "wal", fsync=raft.fsync, on_failure=self._fail)
        engine = PysyncobjEngine(
            self._record.node,
            self._record.address,
            self._record.cluster,
            storage,
            SnapshotStore(directory / "snapshots", self._record.cluster),
            transport,
            machine,
            founding=founding,
            settings=RaftSettings(
                idle_heartbeat_s=raft.heartbeat_ms / 1000,
                election_min_s=raft.election_timeout_ms[0] / 1000,
                election_max_s=raft.election_timeout_ms[1] / 1000,
                snapshot_every_entries=raft.snapshot_every_entries,
            ),
            on_fatal=self._fail,
            seeds={} if founding else {seed.name: seed.address for seed in self._seeds},
        )
        return Home(name, machine, engine, self._config.limits.max_pending_writes)

    def _note_members(self, status: RaftStatus) -> None:
        names = frozenset((*status.voters, *status.observers))
        now_s = asyncio.get_running_loop().time()
        self._removed_at_s |= dict.fromkeys(self._member_names - names, now_s)
        for name in names:
            self._removed_at_s.pop(name, None)
        self._member_names = names

    def _is_member(self, node: str) -> bool:
        """Asked for every call and every batch of a peer, so it has to be cheap."""
        return node in self._member_names

    def _may_stream(self, node: str) -> bool:
        """Whether a node with a certificate of this cluster may speak Raft to this one.

        A node may lead that joined while this one was away, so names that are not known here are let in; what they say
        counts only as far as the log gives them a vote. A node that was seen to be removed is turned away once it has
        had time to announce its own removal; one that was given up when the quorum was recovered, at once and for ever.
        """
        if node in self._abandoned and not self._is_member(node):
            return False
        removed_at_s = self._removed_at_s.get(node)
        return removed_at_s is None or asyncio.get_running_loop().time() - removed_at_s < REMOVED_GRACE_S

    def _members(self) -> list[Seed]:
        return members_of(self._homes.mesh.engine.status())

    def _dial(self, node: str, address: str) -> grpc.aio.Channel:
        return open_channel(self._identity, node, address, CHANNEL_OPTIONS)

    async def _show_quorum(self, servers: Servers) -> None:
        """Keep the health service in step with the quorum."""
        changed = asyncio.Event()
        self._homes.mesh.engine.on_change(lambda _status: changed.set())
        while True:
            changed.clear()
            await servers.follow_quorum(self._homes.mesh.engine.status().quorum)
            await changed.wait()

    def _left(self) -> None:
        """This node is out of the mesh: stop, and set its data aside so that it can join again as a new one."""
        self._leaving = True
        self.stopping.set()

    async def _join(self) -> None:
        if not self._record.founding:
            seeds = [(seed.name, seed.address) for seed in self._seeds]
            await become_member(
                self._homes.mesh.engine, self._record.address, seeds, self._dial, observer=self._record.observer
            )

    def _supervise(self, stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        stack.callback(task.cancel)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Stop the node: going on would risk what was acknowledged."""
        if self.fatal is None:
            self.fatal = error
            log.critical("this node cannot go on", why=str(error), kind=type(error).__name__)
            self.stopping.set()


def set_data_aside(data_dir: Path) -> Path:
    """Move what a node that left had into a folder of its own; returns that folder."""
    aside = data_dir / f"left-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    make_private_directory(aside)
    for entry in sorted(data_dir.iterdir()):
        if not entry.name.startswith("left-"):
            entry.rename(aside / entry.name)
    return aside
