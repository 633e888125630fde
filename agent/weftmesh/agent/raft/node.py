"""PysyncobjEngine: the hardened core with its log, its snapshots and its peers, as a RaftEngine."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from weftmesh.agent.raft.core.codec import ProtocolError
from weftmesh.agent.raft.core.fencing import payload_of
from weftmesh.agent.raft.core.hardened import HardenedSyncObj
from weftmesh.agent.raft.core.installing import Prepared
from weftmesh.agent.raft.core.membership import NO_VOTERS
from weftmesh.agent.raft.core.proposals import ID_BITS, Proposals, no_quorum
from weftmesh.agent.raft.core.stock import CoreParts
from weftmesh.agent.raft.driving import CoreDriver
from weftmesh.agent.raft.engine import Applied, MemberRole, RaftStatus, StateMachine
from weftmesh.agent.raft.membership_change import MembershipChange
from weftmesh.agent.raft.ports import LogStorage, SnapshotInfo, SnapshotStorage, Transport
from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.agent.raft.snapshots.installer import SnapshotInstaller
from weftmesh.agent.raft.snapshots.writer import SnapshotWriter
from weftmesh.agent.raft.waiting import Waiting
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.features.levels import FIRST_LEVEL
from weftmesh.mesh.v1 import raft_pb2

log = structlog.get_logger(__name__)

COMPLAINTS_LIMIT = 256
"""Peers whose first malformed message is logged."""


class PysyncobjEngine:
    """A RaftEngine on pysyncobj's core.

    Args:
        name: this node; its certificate's name.
        address: host:port where peers reach it.
        cluster: the mesh it belongs to; a snapshot of another one is refused.
        storage: its log, recovered; the engine closes it.
        snapshots: its snapshots.
        transport: the way to its peers.
        machine: what is replicated.
        founding: whether this node may elect itself when neither log nor snapshot knows any voter.
        settings: timings and limits.
        on_fatal: called once, when the disk failed or an invariant broke; the engine has stopped taking part, and
            the process should end.
        seeds: name to host:port of peers to stay connected to until this node is a voter.
        home: which of the node's logs this is, in what is logged.
    """

    def __init__(
        self,
        name: str,
        address: str,
        cluster: str,
        storage: LogStorage,
        snapshots: SnapshotStorage,
        transport: Transport,
        machine: StateMachine,
        founding: bool,
        settings: RaftSettings,
        on_fatal: Callable[[BaseException], None],
        seeds: Mapping[str, str] = NO_VOTERS,
        home: str = "",
    ) -> None:
        self._name = name
        self._settings = settings
        self._storage = storage
        self._snapshots = snapshots
        self._snapshot_writer = SnapshotWriter(snapshots, self._snapshot_written)
        self._snapshot_installer = SnapshotInstaller(snapshots, machine, self._snapshot_prepared)
        self._transport = transport
        self._on_fatal = on_fatal
        self._proposals = Proposals(secrets.randbits(ID_BITS), settings.pending_limit)
        parts = CoreParts(
            name=name,
            address=address,
            cluster=cluster,
            storage=storage,
            snapshots=snapshots,
            machine=machine,
            proposals=self._proposals,
            send=transport.send,
            set_peers=transport.set_peers,
            write_snapshot=self._snapshot_writer.begin,
            send_snapshot=self._send_snapshot,
            prepare_snapshot=self._snapshot_installer.begin,
            wall_us=lambda: time.time_ns() // 1000,
            founding=founding,
            seeds=seeds,
            settings=settings,
        )
        self._core = HardenedSyncObj(parts)
        self._driver = CoreDriver(self._core, storage, self._tell, self._fail, home)
        self._waiting = Waiting(self._core, self._proposals, self._driver)
        self._stopped = False
        self._callbacks: list[Callable[[RaftStatus], None]] = []
        self._complained: set[str] = set()

    # RaftEngine

    async def start(self) -> None:
        """Load snapshot and log, then take part. A sole voter returns when all that it holds is applied."""
        self._core.load()
        self._driver.start()
        await self._transport.start(self)
        self._driver.schedule()
        if self._core.votes and len(self._core.voters) == 1:
            await self.read_barrier(self._settings.replay_timeout_s)

    async def stop(self) -> None:
        """Stop taking part, sync what was written and close the log; also after a failure, and once is enough."""
        if self._stopped:
            return
        self._stopped = True
        healthy = self._driver.running
        self._halt("this node shuts down")
        await self._transport.stop()
        try:
            if healthy:
                await self._take_last_snapshot()
            await self._snapshot_writer.finish(0)
            await self._snapshot_installer.finish()
        finally:
            self._storage.close()

    async def propose(self, command: bytes, timeout_s: float, *, level: int = FIRST_LEVEL) -> Applied:
        """See RaftEngine."""
        if len(command) > self._settings.command_limit_bytes:
            raise InvalidInputError(
                f"a command of {len(command)} bytes exceeds the limit of {self._settings.command_limit_bytes}; split it"
            )
        return await self._waiting.commit(payload_of(command, level), timeout_s)

    async def read_barrier(self, timeout_s: float) -> int:
        """See RaftEngine."""
        return await self._waiting.read_barrier(timeout_s)

    async def change_member(self, name: str, role: MemberRole | None, address: str | None, timeout_s: float) -> None:
        """See RaftEngine."""
        change = MembershipChange(self._core, self._waiting.commit, self.read_barrier, self._settings.retry_s)
        await change.make(name, role, address, timeout_s)

    async def transfer_leadership(self, timeout_s: float) -> bool:
        """See RaftEngine."""
        if not self._core.leads or len(self._core.voters) == 1:
            return not self._core.leads
        gone = asyncio.Event()

        def notice(_status: RaftStatus) -> None:
            if not self._core.leads:
                gone.set()

        self._callbacks.append(notice)
        self._core.hand_over(True)
        self._driver.schedule()
        try:
            async with asyncio.timeout(timeout_s):
                await gone.wait()
        except TimeoutError:
            self._core.hand_over(False)
            self._driver.schedule()
        finally:
            self._callbacks.remove(notice)
        return not self._core.leads

    async def recover_quorum(self, timeout_s: float) -> None:
        """See RaftEngine."""
        self._waiting.check_running()
        index = self._core.become_sole_voter()
        log.critical("raft.quorum_recovered", index=index, why="an operator gave the other voters up")
        self._driver.schedule()
        await self.read_barrier(timeout_s)

    def status(self) -> RaftStatus:
        """See RaftEngine."""
        return self._core.status()

    def on_change(self, callback: Callable[[RaftStatus], None]) -> None:
        """See RaftEngine."""
        self._callbacks.append(callback)

    # TransportEvents

    def on_messages(self, peer: str, messages: Sequence[raft_pb2.RaftMessage]) -> None:
        """See TransportEvents."""
        self._driver.act(lambda: self._receive(peer, messages))
        self._driver.schedule_if_needed()

    def _receive(self, peer: str, messages: Sequence[raft_pb2.RaftMessage]) -> None:
        """What a peer says wrongly drops that message and nothing else."""
        for message in messages:
            try:
                self._core.receive(peer, message)
            except ProtocolError as error:
                self._complain(peer, error)
        self._driver.sync()

    def on_snapshot_chunk(self, peer: str, chunk: raft_pb2.SnapshotChunk) -> raft_pb2.InstallSnapshotResponse | None:
        """See TransportEvents."""
        answers: list[raft_pb2.InstallSnapshotResponse] = []
        self._driver.act(lambda: self._take_chunk(peer, chunk, answers))
        self._driver.schedule()
        return answers[0] if answers else None

    def _take_chunk(
        self, peer: str, chunk: raft_pb2.SnapshotChunk, answers: list[raft_pb2.InstallSnapshotResponse]
    ) -> None:
        try:
            answers.append(self._core.receive_snapshot(peer, chunk))
        except ProtocolError as error:
            self._complain(peer, error)
        self._driver.sync()

    def on_snapshot_sent(self, peer: str, answer: raft_pb2.InstallSnapshotResponse | None) -> None:
        """See TransportEvents."""
        self._driver.act(lambda: self._core.snapshot_sent(peer, answer))
        self._driver.schedule()

    def on_connected(self, peer: str) -> None:
        """See TransportEvents."""
        self._core.connected(peer)
        self._driver.schedule()

    def on_disconnected(self, peer: str) -> None:
        """See TransportEvents."""
        self._core.disconnected(peer)
        self._driver.schedule()

    # snapshots

    def _snapshot_written(self, task: asyncio.Future[SnapshotInfo]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)
        elif not task.cancelled():
            self._driver.act(lambda: self._core.snapshot_written(task.result()))
            self._driver.schedule()

    def _send_snapshot(self, peer: str, offer: raft_pb2.SnapshotChunk, info: SnapshotInfo) -> bool:
        def read(offset: int) -> bytes:
            return self._snapshots.read_chunk(info, offset, self._settings.chunk_bytes)

        return self._transport.send_snapshot(peer, offer, read)

    def _snapshot_prepared(self, task: asyncio.Future[Prepared | None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)
        elif not task.cancelled():
            self._driver.act(lambda: self._snapshot_installer.let_go(self._core.snapshot_prepared(task.result())))
            self._driver.sync()
            self._driver.schedule()

    async def _take_last_snapshot(self) -> None:
        """Spare the next start what it would have to apply again, if that does not hold up the stop."""
        self._core.take_last_snapshot()
        info = await self._snapshot_writer.finish(self._settings.last_snapshot_s)
        if info is not None:
            self._core.snapshot_written(info)

    # what others are told

    def _tell(self, status: RaftStatus) -> None:
        for callback in list(self._callbacks):
            callback(status)

    def _complain(self, peer: str, error: ProtocolError) -> None:
        if peer not in self._complained and len(self._complained) < COMPLAINTS_LIMIT:
            self._complained.add(peer)
            log.warning("raft.peer_protocol_error", peer=peer, error=str(error))

    # ends

    def _fail(self, error: BaseException) -> None:
        if self._driver.running:
            log.error("raft.stopped", exc_info=error)
            self._halt("this node stopped after a failure")
            self._on_fatal(error)

    def _halt(self, why: str) -> None:
        self._driver.halt()
        self._proposals.give_up_all(why)
        self._core.give_up_reads(no_quorum(why))
