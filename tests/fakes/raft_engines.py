"""Whole engines in one process, over a network in memory that can be cut, and disks that can lose power."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tests.fakes.storage import FakeLogStorage, FakeSnapshotStorage

from weftmesh.agent.raft.engine import MemberRole, Swap
from weftmesh.agent.raft.node import PysyncobjEngine
from weftmesh.agent.raft.ports import TransportEvents
from weftmesh.agent.raft.settings import RaftSettings
from weftmesh.core.features.levels import FIRST_LEVEL
from weftmesh.mesh.v1 import raft_pb2

FAST = RaftSettings(
    heartbeat_s=0.02, idle_heartbeat_s=0.04, election_min_s=0.2, election_max_s=0.35, resend_s=0.1, retry_s=0.01
)
"""Elections in a fraction of a second."""


class Register:
    """A state machine that remembers every command, in order; `boom` raises."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []
        self.times_us: list[int] = []
        self.applied_index = 0
        self.restored = 0

    def apply(self, index: int, command: bytes, commit_time_us: int, *, level: int = FIRST_LEVEL) -> int:
        """Append; the outcome is the position."""
        assert index > self.applied_index
        self.applied_index = index
        if command == b"boom":
            raise ValueError("boom")
        self.commands.append(command)
        self.times_us.append(commit_time_us)
        return len(self.commands)

    def snapshot(self) -> Callable[[], Iterator[bytes]]:
        """One row a command."""
        rows = list(self.commands)
        return lambda: iter(rows)

    def prepare_restore(self, rows: Iterable[bytes]) -> Swap:
        """Replace everything when it is called."""
        prepared = list(rows)

        def swap() -> Iterator[None]:
            self.commands = prepared
            self.times_us = [0] * len(self.commands)
            self.restored += 1
            return iter(())

        return swap

    def digest(self) -> str:
        """Equal for equal contents."""
        return hashlib.sha256(b"\0".join(self.commands)).hexdigest()


class MemoryTransport:
    """A `Transport` over a MemoryNetwork; messages are encoded, so nothing is shared by accident."""

    def __init__(self, network: MemoryNetwork, name: str) -> None:
        self._network, self._name = network, name
        self.events: TransportEvents | None = None
        self.peers: dict[str, str] = {}
        self.up: set[str] = set()
        self._outbox: dict[str, list[bytes]] = {}
        self._snapshots: dict[str, asyncio.Task[None]] = {}

    async def start(self, events: TransportEvents) -> None:
        """As `Transport.start`."""
        self.events = events
        self._network.transports[self._name] = self
        self._network.settle()

    async def stop(self) -> None:
        """As `Transport.stop`."""
        self.leave()

    def leave(self) -> None:
        """Vanish from the network, as a killed process does."""
        self.events = None
        for call in self._snapshots.values():
            call.cancel()
        self._network.transports.pop(self._name, None)
        self._network.settle()

    def set_peers(self, peers: Mapping[str, str]) -> None:
        """As `Transport.set_peers`."""
        self.peers = dict(peers)
        self._network.settle()

    def send(self, peer: str, message: raft_pb2.RaftMessage) -> bool:
        """As `Transport.send`."""
        if peer not in self.up:
            return False
        outbox = self._outbox.setdefault(peer, [])
        if not outbox:
            asyncio.get_running_loop().call_soon(self._flush, peer)
        outbox.append(message.SerializeToString())
        self._network.sent += 1
        return True

    def connected(self, peer: str) -> bool:
        """As `Transport.connected`."""
        return peer in self.up

    def send_snapshot(self, peer: str, offer: raft_pb2.SnapshotChunk, read: Callable[[int], bytes]) -> bool:
        """As `Transport.send_snapshot`."""
        if peer not in self.up or peer in self._snapshots:
            return False
        self._snapshots[peer] = asyncio.get_running_loop().create_task(self._send_snapshot(peer, offer, read))
        return True

    async def _send_snapshot(self, peer: str, offer: raft_pb2.SnapshotChunk, read: Callable[[int], bytes]) -> None:
        answer, chunk = None, offer
        while True:
            await asyncio.sleep(0)
            receiver = self._network.transports.get(peer)
            if peer not in self.up or receiver is None or receiver.events is None:
                answer = None
                break
            sent = raft_pb2.SnapshotChunk.FromString(chunk.SerializeToString())
            answer = receiver.events.on_snapshot_chunk(self._name, sent)
            self._network.chunks += bool(chunk.data)
            unexpected = chunk.data and answer is not None and answer.next_offset != chunk.offset + len(chunk.data)
            if answer is None or unexpected or answer.next_offset >= offer.size_bytes:
                break
            chunk = raft_pb2.SnapshotChunk()
            chunk.CopyFrom(offer)
            chunk.offset, chunk.data = answer.next_offset, read(answer.next_offset)
        del self._snapshots[peer]
        if self.events is not None:
            self.events.on_snapshot_sent(peer, answer)

    def set_up(self, peer: str, up: bool) -> None:
        """The network's: a stream to a peer came up or broke."""
        if up == (peer in self.up) or self.events is None:
            return
        if up:
            self.up.add(peer)
            self.events.on_connected(peer)
        else:
            self.up.discard(peer)
            self._outbox.pop(peer, None)
            self.events.on_disconnected(peer)

    def _flush(self, peer: str) -> None:
        batch = self._outbox.pop(peer, [])
        receiver = self._network.transports.get(peer)
        if batch and peer in self.up and receiver is not None and receiver.events is not None:
            receiver.events.on_messages(self._name, [raft_pb2.RaftMessage.FromString(data) for data in batch])


class MemoryNetwork:
    """Connects every transport to the peers it wants, but for cut pairs."""

    def __init__(self) -> None:
        self.transports: dict[str, MemoryTransport] = {}
        self.sent = 0
        self.chunks = 0
        self._cut: set[frozenset[str]] = set()
        self._settling = False

    def cut(self, *groups: Iterable[str]) -> None:
        """Separate the groups from each other."""
        sets = [set(group) for group in groups]
        for one in sets:
            for other in sets:
                if one is not other:
                    self._cut |= {frozenset((a, b)) for a in one for b in other}
        self.settle()

    def heal(self) -> None:
        """Undo every cut."""
        self._cut.clear()
        self.settle()

    def settle(self) -> None:
        """Bring streams up and down as wanted, from the loop, never from within a caller."""
        if not self._settling:
            self._settling = True
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        self._settling = False
        for name, transport in list(self.transports.items()):
            for peer in sorted({*transport.peers, *transport.up}):
                reachable = peer in self.transports and frozenset((name, peer)) not in self._cut
                transport.set_up(peer, reachable and peer in transport.peers)


@dataclass
class Host:
    """One node: what survives a crash, and what does not."""

    name: str
    log: FakeLogStorage
    snapshots: FakeSnapshotStorage
    machine: Register = field(default_factory=Register)
    engine: PysyncobjEngine | None = None
    transport: MemoryTransport | None = None
    failures: list[BaseException] = field(default_factory=list)

    @property
    def up(self) -> PysyncobjEngine:
        """The running engine."""
        assert self.engine is not None, f"{self.name} is down"
        return self.engine


class Engines:
    """A mesh of engines."""

    def __init__(self, settings: RaftSettings = FAST) -> None:
        self.settings = settings
        self.machine: Callable[[], Register] = Register
        """What nodes started from now on replicate."""
        self.network = MemoryNetwork()
        self.hosts: dict[str, Host] = {}

    async def start(self, name: str, founding: bool = False) -> Host:
        """Start a new node, or one that crashed."""
        host = self.hosts.setdefault(name, Host(name, FakeLogStorage(), FakeSnapshotStorage()))
        host.machine = self.machine()
        host.transport = MemoryTransport(self.network, name)
        host.engine = PysyncobjEngine(
            name,
            f"{name}:1",
            "test",
            host.log,
            host.snapshots,
            host.transport,
            host.machine,
            founding,
            self.settings,
            host.failures.append,
            seeds={other: f"{other}:1" for other in self.hosts if other != name},
        )
        await host.engine.start()
        return host

    async def found(self, *names: str) -> list[Host]:
        """A mesh of these nodes, the first one founds it and the others join one by one."""
        first = await self.start(names[0], founding=True)
        for name in names[1:]:
            await self.start(name)
            await first.up.change_member(name, MemberRole.VOTER, f"{name}:1", 5)
        await self.until(lambda: all(len(self.hosts[name].up.status().voters) == len(names) for name in names))
        return [self.hosts[name] for name in names]

    async def crash(self, name: str, keep: int = 0) -> None:
        """Cut the power: what was not synced is lost, but for the first `keep` writes."""
        host = self.hosts[name]
        assert host.engine is not None
        assert host.transport is not None
        host.engine._halt("the power was cut")
        host.transport.leave()
        host.engine = None
        host.log, host.snapshots = host.log.crash(keep), host.snapshots.crash()

    async def stop(self) -> None:
        """Stop every node."""
        for host in self.hosts.values():
            if host.engine is not None:
                await host.engine.stop()
                host.engine = None

    def leader(self) -> Host | None:
        """The one that leads in the highest term."""
        running = [host for host in self.hosts.values() if host.engine is not None]
        leaders = [host for host in running if host.up.status().role.value == "leader"]
        return max(leaders, key=lambda host: host.up.status().term, default=None)

    async def elected(self, among: Iterable[str] | None = None) -> Host:
        """Wait for a leader that hears a majority."""
        names = set(among or self.hosts)

        def leads() -> bool:
            host = self.leader()
            return host is not None and host.name in names and host.up.status().quorum

        await self.until(leads)
        host = self.leader()
        assert host is not None
        return host

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - any condition, not one event
                await asyncio.sleep(0.005)

    async def converged(self) -> None:
        """Wait until every running node has applied the same."""
        hosts = [host for host in self.hosts.values() if host.engine is not None]
        await self.until(lambda: len({tuple(host.machine.commands) for host in hosts}) == 1)


def with_settings(settings: RaftSettings = FAST, **changes: float) -> RaftSettings:
    """Settings with some fields changed."""
    return replace(settings, **changes)  # type: ignore[arg-type]
