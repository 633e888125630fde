"""The composition root: every part of the daemon is made and wired here, started in order and stopped in reverse."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc
import structlog

from weftmesh.agent.access.checkpoint import Checkpoint
from weftmesh.agent.audit.room import AuditRoom
from weftmesh.agent.board.room import BoardRoom
from weftmesh.agent.enrolment.admission import Admission, members_of
from weftmesh.agent.enrolment.joining import become_member
from weftmesh.agent.features import Features
from weftmesh.agent.features.census import Census
from weftmesh.agent.features.data_dir import check_data_dir
from weftmesh.agent.features.room import FeaturesRoom
from weftmesh.agent.learning.room import LearningRoom
from weftmesh.agent.logs import Logs
from weftmesh.agent.mesh_room import MeshRoom
from weftmesh.agent.metrics.raft_metrics import LogMeter
from weftmesh.agent.metrics.room import MetricsRoom
from weftmesh.agent.ola.room import OlaRoom
from weftmesh.agent.privacy.room import PrivacyRoom
from weftmesh.agent.raft.peers.receiving import RaftServicer
from weftmesh.agent.raft.peers.stream import CHANNEL_OPTIONS
from weftmesh.agent.raft.peers.transport import GrpcTransport
from weftmesh.agent.recovery_service import Abandoned
from weftmesh.agent.removed import FILE_NAME as REMOVED_FILE
from weftmesh.agent.removed import Removed
from weftmesh.agent.rooms import Ground, Room
from weftmesh.agent.serving.callers import Callers
from weftmesh.agent.serving.guard import Guard
from weftmesh.agent.serving.liveness import Liveness
from weftmesh.agent.serving.local_socket import LocalSocketRelay
from weftmesh.agent.serving.servers import Servers
from weftmesh.agent.standing import Standing
from weftmesh.agent.status import NodeFacts, StatusReporter
from weftmesh.agent.trust.gate import Gate
from weftmesh.agent.trust.peer_clocks import PeerClocks
from weftmesh.agent.trust.room import TrustRoom
from weftmesh.agent.trust.writing import TrustLog
from weftmesh.core.clock import HybridClock
from weftmesh.core.ids import new_ulid
from weftmesh.runtime.addresses import split_address
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.config import Config
from weftmesh.runtime.data_formats import note_formats
from weftmesh.runtime.doors.cutting import RevocationInterceptor, disproving
from weftmesh.runtime.files import make_private_directory
from weftmesh.runtime.identity.certificate_files import present_identity
from weftmesh.runtime.identity.certificates import utc_now
from weftmesh.runtime.identity.credentials import NodeIdentity, open_channel, refused_channel
from weftmesh.runtime.identity.enrolling import Seed
from weftmesh.runtime.identity.founding import NodeRecord, identity_store, load_seeds
from weftmesh.runtime.memory import give_back
from weftmesh.runtime.notify import notify
from weftmesh.runtime.watchdog import keep_beating, watchdog_limit_s

HAND_OVER_S: Final = 2.0
"""For the next leader to take over when this one stops."""

RoomT = TypeVar("RoomT", bound=Room)

log = structlog.get_logger("weftmesh.node")


class Node:
    """One node of the mesh.

    Attributes:
        ready: set once the node serves.
        stopping: set to stop the node; set by the node itself when it has left the mesh or cannot go on.
        fatal: why the node cannot go on, if so.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._record = NodeRecord.load(config.node.data_dir)
        check_data_dir(config.node.data_dir)
        self._store = identity_store(config.node.data_dir)
        names = self._record.node, self._record.cluster
        self._identity = NodeIdentity(present_identity(config.tls, self._store.load, *names, utc_now()))
        self._seeds = load_seeds(config.node.data_dir)
        self._random = secrets.SystemRandom()
        self._clock = HybridClock()
        self.stopping = asyncio.Event()
        self.ready = asyncio.Event()
        self.fatal: BaseException | None = None
        self._leaving = False
        self._abandoned = Abandoned(config.node.data_dir / "abandoned.json")
        self._standing = Standing(self._abandoned, Removed(config.node.data_dir / REMOVED_FILE))
        self._gate = Gate(lambda: self._homes.mesh.machine.trust)

    async def run(self) -> None:
        """Start everything, wait until `stopping`, stop everything.

        Raises:
            WeftmeshError: the node cannot start, or could not go on; the message says what to do.
        """
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self.ready.set()
            notify("READY=1")
            await self.stopping.wait()
            notify("STOPPING=1")
            log.info("stopping", why=str(self.fatal) if self.fatal else "asked to")
        if self._leaving:
            kept = set_data_aside(self._config.node.data_dir)
            log.info("left the mesh; the data is kept", directory=str(kept))
        if self.fatal is not None:
            raise self.fatal

    def apply_live(self, config: Config) -> None:
        """Take over the settings that a node that is ready can change, of a configuration that holds."""
        self._board.servicer.watchers_max = config.limits.watchers
        self.guard.follow(config.limits)
        for home in self._homes.all():
            home.writer.queued_max = config.limits.max_pending_writes

    async def _start(self, stack: AsyncExitStack) -> None:
        data_dir, run_dir = self._config.node.data_dir, self._config.node.run_dir
        note_formats(data_dir)
        raft = RaftServicer(self._record.cluster, self._standing.may_stream, self._record.node)
        transport = GrpcTransport(raft, self._dial)
        seeds = {seed.name: seed.address for seed in self._seeds}
        logs = Logs(self._config, self._record, self._clock, transport, seeds, self._fail)
        self._homes = logs.homes
        make_private_directory(run_dir / "internal")
        upstream = run_dir / "internal" / "grpc.sock"
        relay = LocalSocketRelay(run_dir / "api.sock", upstream, group=self._config.mesh.group)
        callers = Callers(self._record.node, self._record.cluster, relay.nonce, self._standing.is_member)
        features = Features(self._homes.mesh, Census(self._record.node, self._dial))
        ground = Ground(
            self._config, self._identity, self._homes, callers, self._clock, self._dial, self._new_ulid, features
        )
        self._checkpoint = Checkpoint(ground)
        trust = TrustLog(ground)
        clocks = PeerClocks(self._record.node, features.census, self._members)
        admission = Admission(self._config, self._store, self._identity, self._members, self._gate, trust, clocks)
        admission.on_enrolment = self._checkpoint.note_enrolment
        revocations = RevocationInterceptor(self._gate)
        trusting = TrustRoom(ground, self._store, admission, trust, self._gate, revocations, transport.cut)
        mesh_port = split_address(self._config.mesh.listen)[1]
        self.guard = Guard(
            self._config.limits, self._record.cluster, relay.nonce, lambda: {mesh_port, admission.port or mesh_port}
        )
        note = self._checkpoint.enforcement.note_refusal
        self.guard.calls.on_refusal = note
        revocations.on_refusal = disproving(self.guard.connections, note)
        servers = Servers(self._config, self._identity, upstream, self.guard, revocations, self._checkpoint.enforcement)
        rooms = [*self._furnish(stack, ground, admission, raft, logs.meter), trusting]
        servers.add([one for room in rooms for one in room.services])
        await self._open(stack, servers, relay)
        await admission.start()
        stack.push_async_callback(admission.stop)
        liveness = Liveness(upstream)
        stack.push_async_callback(liveness.close)
        beating = keep_beating(watchdog_limit_s(os.environ), liveness.answers)
        doors = self.guard.doorkeeper.run()
        for work in (self._join(), admission.keep_certificate_fresh(), beating, doors):
            self._supervise(stack, work)
        for work in (one for room in rooms for one in room.work()):
            self._supervise(stack, work)
        give_back()  # what reading the logs and loading the servers took
        log.info("ready", node=self._record.node, cluster=self._record.cluster, address=self._record.address)

    def _furnish(
        self, stack: AsyncExitStack, ground: Ground, admission: Admission, raft: RaftServicer, meter: LogMeter
    ) -> Sequence[Room]:
        """Make every room; each is closed after the log has ended."""

        def closed_at_the_end(room: RoomT) -> RoomT:
            stack.push_async_callback(room.close)
            return room

        guarded = [closed_at_the_end(room) for room in self._checkpoint.rooms(ground)]
        self._board = board = closed_at_the_end(BoardRoom(ground, self._checkpoint))
        board.servicer.charging = self.guard.calls.stream_writes
        audit = closed_at_the_end(AuditRoom(ground))
        privacy = closed_at_the_end(PrivacyRoom(ground))
        learning = closed_at_the_end(
            LearningRoom(
                ground.config, ground.identity, ground.homes, ground.callers, ground.clock, privacy.ledger, ground.dial
            )
        )
        ola = closed_at_the_end(OlaRoom(ground, self._record.cluster))
        facts = NodeFacts(
            node=self._record.node,
            cluster=self._record.cluster,
            listen_address=self._record.address,
            fsync=self._config.raft.fsync,
            started_at=datetime.now(UTC),
        )
        reporter = StatusReporter(
            facts, ground.homes, board.meter, board.servicer, ground.identity, board.queue, audit.auditor
        )
        levels = closed_at_the_end(FeaturesRoom(ground, reporter))
        mesh = closed_at_the_end(
            MeshRoom(ground, facts, reporter, raft, admission, abandoned=self._abandoned, on_left=self._left)
        )
        names, refusals = (self._record.node, self._record.cluster), self.guard.refusals
        metrics = closed_at_the_end(MetricsRoom(ground, names, board, audit.auditor, privacy.ledger, meter, refusals))
        return *guarded, board, audit, privacy, learning, ola, levels, mesh, metrics

    async def _open(self, stack: AsyncExitStack, servers: Servers, relay: LocalSocketRelay) -> None:
        """Start the logs, then the doors."""
        mesh = self._homes.mesh.engine
        mesh.on_change(self._standing.note)
        for home in self._homes.all():
            await home.engine.start()
            stack.push_async_callback(home.engine.stop)
        self._standing.note(mesh.status())
        await servers.start()
        servers.follow_quorum(mesh.status().quorum)
        mesh.on_change(lambda status: servers.follow_quorum(status.quorum))
        stack.push_async_callback(servers.stop)
        # Before the servers go: the next leader has to be able to answer.
        stack.push_async_callback(mesh.transfer_leadership, HAND_OVER_S)
        await relay.start()
        stack.push_async_callback(relay.close)
        stack.push_async_callback(servers.finish_local)

    def _new_ulid(self) -> str:
        return new_ulid(wall_ms(), self._random)

    def _members(self) -> list[Seed]:
        return members_of(self._homes.mesh.engine.status())

    def _dial(self, node: str, address: str) -> grpc.aio.Channel:
        if not self._gate.may_dial(node):
            return refused_channel(node)
        return open_channel(self._identity, node, address, CHANNEL_OPTIONS)

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
