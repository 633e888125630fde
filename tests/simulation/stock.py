"""The original pysyncobj, as published, on the same schedules: what the hardening is measured against.

Its disk is generous: everything written is durable at once, so that it is only ever killed, never loses power. What it
has no feature for (linearizable reads, changes of members, damaged disks, late or lost messages) it is spared.
"""

from __future__ import annotations

import asyncio
import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pysyncobj import FAIL_REASON, syncobj
from tests.simulation.loop import CLOCK_CALL_S
from tests.simulation.machine import Registers
from tests.simulation.node import Node

from weftmesh.agent.raft.core import pin
from weftmesh.agent.raft.core.membership import Voters
from weftmesh.agent.raft.core.stock import peer_of
from weftmesh.agent.raft.engine import Applied
from weftmesh.agent.raft.ports import Entry
from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.core.errors import NoQuorumError, UnknownOutcomeError
from weftmesh.core.features.levels import FIRST_LEVEL

TICK_S = 0.02
UNKNOWN = (FAIL_REASON.UNKNOWN_OUTCOME, FAIL_REASON.LEADER_CHANGED)
EXCEPTIONS_LIMIT = 200
"""In a row: the core raises in every tick and will never recover."""

Item = tuple[bytes, int, int]


class MemoryJournal(pin.Journal):  # type: ignore[misc]
    """Its journal, durable at once, also across lives."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.term, self.vote, self.commit = 0, None, 1
        self.node: Node | None = None

    def add(self, command: bytes, idx: int, term: int) -> None:
        self._operation()
        if self.node is not None and self.items:
            self.node.appended([Entry(idx, term, command)], self.items[-1][2])
        self.items.append((command, idx, term))

    def clear(self) -> None:
        self._operation()
        self.items = []

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803
        self._operation()
        del self.items[entryFrom:]

    def deleteEntriesTo(self, entryTo: int) -> None:  # noqa: N802, N803
        self._operation()
        self.items = self.items[entryTo:]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: int) -> Item:
        return self.items[position]

    def setCurrentTerm(self, term: int, votedForNodeId: Any) -> None:  # noqa: N802, N803
        self._operation()
        self.term, self.vote = term, votedForNodeId

    def getCurrentTerm(self) -> int:  # noqa: N802
        return self.term

    def getVotedForNodeId(self) -> Any:  # noqa: N802
        return self.vote

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:  # noqa: N802, N803
        self.commit = raftCommitIndex

    def getRaftCommitIndex(self) -> int:  # noqa: N802
        return self.commit

    def onOneSecondTimer(self) -> None:  # noqa: N802
        """The commit index is kept at once."""

    def _destroy(self) -> None:
        """It outlives the process."""

    def _operation(self) -> None:
        if self.node is not None:
            self.node.operation("write")


class StockTransport(pin.Transport):  # type: ignore[misc]
    """Its transport on the simulated network."""

    ready = True

    def __init__(self, node: Node) -> None:
        super().__init__(None, None, [])
        self._node = node

    def send(self, node: Any, message: dict[str, Any]) -> bool:
        return self._node.send(str(node.id), message)


class OriginalSyncObj(syncobj.SyncObj):  # type: ignore[misc]
    """The original with commands of plain bytes."""

    def __init__(self, *args: Any, machine: Registers, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.machine = machine  # after the constructor: part of what its snapshots hold

    def _SyncObj__doApplyCommand(self, command: bytes) -> Any:  # noqa: N802
        if command[:1] != pin.REGULAR:
            return None
        return self.machine.apply(self._SyncObj__raftLastApplied + 1, command[1:], 0)


class StockEngine:
    """What the original can of `Calls`. Its thread that ticks is a timer here."""

    def __init__(self, node: Node, core: OriginalSyncObj) -> None:
        self._node, self.core = node, core
        self._raised = 0

    async def start(self) -> None:
        self.tick()
        self._again()

    async def stop(self) -> None:
        """Nothing to end."""

    def _again(self) -> None:
        self.tick()
        asyncio.get_running_loop().call_later(TICK_S, self._again)

    def tick(self) -> None:
        self.guarded(self.core.doTick)

    def guarded(self, act: Callable[[], Any]) -> None:
        """Its thread logs what is raised and goes on; once it raises for ever, the node is lost."""
        try:
            act()
            self._raised = 0
        except Exception as error:  # noqa: BLE001 - as its own thread does
            self._raised += 1
            if isinstance(error, AssertionError) or self._raised >= EXCEPTIONS_LIMIT:
                self._node.fatal(error)

    async def propose(self, command: bytes, timeout_s: float, *, level: int = FIRST_LEVEL) -> Applied:
        outcome: asyncio.Future[Applied] = asyncio.get_running_loop().create_future()

        def done(result: Any, error: int) -> None:
            if outcome.done():
                return
            if error == FAIL_REASON.SUCCESS:
                identity = result[0] if isinstance(result, tuple) else 0
                outcome.set_result(Applied(self._node.invariants.index_of.get(identity, 0), result))
            elif error in UNKNOWN:
                outcome.set_exception(UnknownOutcomeError("the original does not know"))
            else:
                outcome.set_exception(NoQuorumError(f"the original refuses: {error}"))

        self.guarded(lambda: self.core._applyCommand(command, done, 0))
        try:
            async with asyncio.timeout(timeout_s):
                return await outcome
        except TimeoutError:
            raise UnknownOutcomeError("no answer in time") from None

    async def read_barrier(self, timeout_s: float) -> int:
        raise NoQuorumError("the original has no linearizable reads")

    async def change_member(self, name: str, role: Any, address: str | None, timeout_s: float) -> None:
        raise NoQuorumError("the original keeps its voters here")

    async def transfer_leadership(self, timeout_s: float) -> bool:
        self.guarded(self.core.transferLeadership)
        return False


class StockLife:
    """A life of the original, as the invariants look into it."""

    def __init__(self, node: Node, core: OriginalSyncObj, transport: StockTransport, journal: MemoryJournal) -> None:
        self._node, self._core, self._transport, self._journal = node, core, transport, journal
        self.engine = StockEngine(node, core)
        self.voters: Voters = {}

    @property
    def machine(self) -> Registers:
        machine: Registers = self._core.machine
        if not machine.is_watched:
            machine.watch(self._node.invariants)
        return machine

    @property
    def leads(self) -> bool:
        return bool(self._core._SyncObj__raftState == pin.LEADER)

    @property
    def term(self) -> int:
        return int(self._core._SyncObj__raftCurrentTerm)

    @property
    def commit(self) -> int:
        return int(self._core._SyncObj__raftCommitIndex)

    @property
    def applied(self) -> int:
        return min(int(self._core._SyncObj__raftLastApplied), self.commit)

    @property
    def first_index(self) -> int:
        return self._journal.items[0][1] if self._journal.items else self.last_index + 1

    @property
    def last_index(self) -> int:
        return self._journal.items[-1][1] if self._journal.items else 0

    def entry(self, index: int) -> tuple[int, bytes]:
        command, _, term = self._journal.items[index - self.first_index]
        return term, command

    def deliver(self, sender: str, messages: Sequence[Any]) -> None:
        for message in messages:
            self.engine.guarded(lambda message=message: self._transport._onMessageReceived(peer_of(sender), message))  # type: ignore[misc]
        self.machine  # noqa: B018 - a snapshot may have brought another one

    def link(self, peer: str, up: bool) -> None:
        act = self._transport._onNodeConnected if up else self._transport._onNodeDisconnected
        self.engine.guarded(lambda: act(peer_of(peer)))


class StockDisk:
    """Journal in memory, dump in a file; kill -9 loses nothing of either."""

    reads = False
    original = True
    unsynced = 0

    def __init__(self, settings: RaftSettings, voters: Voters) -> None:
        self._settings, self._voters = settings, voters
        self.journal = MemoryJournal()
        self._directory = tempfile.TemporaryDirectory(prefix="simulation-")
        self._dump = Path(self._directory.name) / "dump"
        self._dumped = (0.0, 0)

    def boot(self, node: Node) -> StockLife:
        node.clock.read_cost_s = CLOCK_CALL_S
        settings = self._settings
        self.journal.node = node
        transport = StockTransport(node)
        conf = pin.SyncObjConf(
            autoTick=False, raftMinTimeout=settings.election_min_s, raftMaxTimeout=settings.election_max_s,
            appendEntriesPeriod=settings.heartbeat_s, leaderFallbackTimeout=settings.election_max_s,
            appendEntriesUseBatch=node.world.chance(0.5), appendEntriesBatchSizeBytes=settings.append_limit_bytes,
            logCompactionMinEntries=settings.snapshot_every_entries, logCompactionMinTime=1e9,
            logCompactionBatchSize=settings.chunk_bytes, useFork=False, fullDumpFile=str(self._dump),
            journalFile=self.journal,
        )  # fmt: skip
        others = [peer_of(name) for name in self._voters if name != node.name]
        core = OriginalSyncObj(
            peer_of(node.name), others, conf, transport=transport, machine=Registers(node.invariants, node.name)
        )
        life = StockLife(node, core, transport, self.journal)
        life.voters = self._voters
        node.set_peers({name: address for name, address in self._voters.items() if name != node.name})
        return life

    def power_cut(self, keep: int) -> None:
        """Generous: nothing is lost."""

    def has_durable(self, index: int, term: int) -> bool:
        items = self.journal.items
        held = items and items[0][1] <= index <= items[-1][1] and items[index - items[0][1]][2] == term
        return bool(held) or self._dump_index() >= index

    def _dump_index(self) -> int:
        """What the dump covers: its second part is the last entry."""
        if not self._dump.exists():
            return 0
        changed = self._dump.stat().st_mtime_ns
        if changed != self._dumped[0]:
            try:
                self._dumped = (
                    changed,
                    int(syncobj.Serializer(str(self._dump), 1, False, None, None, None).deserialize()[1][1]),
                )
            except Exception:  # noqa: BLE001 - a torn file covers nothing
                self._dumped = (changed, 0)
        return self._dumped[1]

    def damage(self, node: Node) -> None:
        """It is spared."""

    def take_snapshot(self, node: Node) -> None:
        core = node.core
        if isinstance(core, StockLife):
            node.act(core.engine.core.forceLogCompaction)

    def encode(self, message: dict[str, Any]) -> dict[str, Any]:
        return copy.deepcopy(message)

    def decode(self, encoded: dict[str, Any]) -> dict[str, Any]:
        return encoded

    def kind(self, encoded: Mapping[str, Any]) -> str:
        return str(encoded["type"])
