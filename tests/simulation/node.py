"""A machine of the cluster: its clock, its disk, and the lives of the process on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.simulation.disks import PowerCutError
from tests.simulation.invariants import Invariants
from tests.simulation.loop import NodeClock, NodeLoop
from tests.simulation.network import Network
from tests.simulation.ports import Core, Disk
from tests.simulation.world import World

from weftmesh.agent.raft.ports import Entry
from weftmesh.core.errors import DataCorruptionError

RESTART_S = (0.02, 0.2, 1.5)
"""About how long a node is down."""


class Node:
    """Everything that happens to a process goes through `act`; nothing happens to it while it is down or frozen."""

    def __init__(self, world: World, network: Network, invariants: Invariants, name: str, disk: Disk) -> None:
        self.name = name
        self.world, self.network, self.invariants, self.disk = world, network, invariants, disk
        self.clock = NodeClock(world, read_cost_s=0.0)
        self.incarnation = 0
        self.core: Core | None = None
        self.loop: NodeLoop | None = None
        self.wanted: Mapping[str, str] = {}
        self.seeds: Mapping[str, str] = {}
        self.founding = False
        self.broken: DataCorruptionError | None = None
        """Why it refuses to start; it never will again."""
        self.sync_s = 0.001
        """What a sync takes, about."""
        self.job_s = 0.01
        """What a snapshot takes to be written, about."""
        self.frozen_until_s = 0.0
        self._deferred: list[Callable[[], None]] = []
        """What waits until it is not frozen any more."""
        self.dying = False
        self.operations_left: int | None = None
        """Until the power is cut in the middle of one."""
        network.join(self)

    # life

    @property
    def up(self) -> bool:
        """Whether its process runs."""
        return self.core is not None

    def start(self) -> None:
        """Begin a life."""
        if self.core is not None or self.broken is not None:
            return
        self.incarnation += 1
        self.dying, self.operations_left, self.frozen_until_s = False, None, 0.0
        self.world.say(self.name, "starts")
        self.world.counts["starts"] += 1
        self.loop = NodeLoop(  # type: ignore[abstract]
            self.world, self.clock, lambda: self.act(_nothing), self._execute
        )
        self.invariants.began(self)
        self._within(self._boot)

    def _boot(self) -> None:
        try:
            self.core = self.disk.boot(self)
        except DataCorruptionError as error:
            self._refuse(error)
            return
        assert self.loop is not None
        self.loop.create_task(self.core.engine.start()).add_done_callback(self._started)

    def _started(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, DataCorruptionError):
            self._refuse(error)
        elif error is not None:
            self.invariants.escaped(self, error)

    def _refuse(self, error: DataCorruptionError) -> None:
        self.world.say(self.name, "refuses to start:", error)
        self.invariants.refused(self, error)
        self.broken = error
        self.dying = True

    def fatal(self, error: BaseException) -> None:
        """The engine gave up; the process ends."""
        self.invariants.failed(self, error)
        self.dying = True

    def power_cut(self) -> None:
        """The machine is off now; what was not synced is lost, or some of it."""
        unsynced = self.disk.unsynced
        keep = self.world.rng.randint(0, unsynced) if self.world.chance(0.5) else 0
        self.world.say(self.name, "loses power,", unsynced, "un-synced writes, of which survive", keep)
        self.world.counts["power cuts"] += 1
        self._end()
        self.disk.power_cut(keep)

    def kill(self) -> None:
        """The process is killed; the operating system still has what was written."""
        self.world.say(self.name, "is killed")
        self.world.counts["kills"] += 1
        self._end()
        self.disk.power_cut(self.disk.unsynced)

    def _end(self) -> None:
        self.core, self.wanted, self._deferred = None, {}, []
        self.world.after(self.world.rng.choice(RESTART_S) * (0.5 + self.world.rng.random()), self.start)
        if self.loop is not None:
            self.loop.abandon()
        self.network.gone(self.name)

    # acting

    def act(self, what: Callable[[], None]) -> None:
        """Let the process do something, and everything that follows from it at once; then look at it."""
        if self.core is None:
            return
        if self.world.now_s < self.frozen_until_s or self._deferred:
            self._deferred.append(what)
            if len(self._deferred) == 1:
                self._thaw_later()
            return
        self._within(what)

    def _thaw_later(self) -> None:
        life = self.incarnation
        self.world.after(max(self.frozen_until_s - self.world.now_s, 0.0), lambda: self._thaw(life))

    def _thaw(self, life: int) -> None:
        """What came meanwhile happens now, in its order."""
        if life != self.incarnation or self.core is None:
            return
        if self.world.now_s < self.frozen_until_s:
            self._thaw_later()
            return
        deferred, self._deferred = self._deferred, []
        for what in deferred:
            self._act_in(life, what)

    def _act_in(self, life: int, what: Callable[[], None]) -> None:
        if life == self.incarnation:
            self.act(what)

    def _within(self, what: Callable[[], None]) -> None:
        assert self.loop is not None
        self.world.running_clock = self.clock
        asyncio._set_running_loop(self.loop)
        try:
            what()
            self.loop.run_ready(self._goes_on)
        except PowerCutError:
            self.dying = True
        finally:
            asyncio._set_running_loop(None)
            self.world.running_clock = None
        if self.loop.failure is not None and not self.dying:
            self.invariants.escaped(self, self.loop.failure)
        if self.dying:
            self.power_cut()
        elif self.core is not None:
            self.network.flush()
            self.invariants.check(self)

    def _goes_on(self) -> bool:
        return not self.dying

    def clock_changed(self) -> None:
        """Its timers are due at other moments now."""
        if self.loop is not None and self.core is not None:
            self.loop.reset_alarm()

    # what the disk needs of its machine

    def operation(self, what: str) -> None:
        """See `disks.Machinery`."""
        if self.operations_left is not None:
            self.operations_left -= 1
            if self.operations_left < 0:
                self.world.say(self.name, "loses power at a", what)
                self.world.counts["power cuts within an operation"] += 1
                self.dying = True
        if self.dying:
            raise PowerCutError(what)

    def later(self, what: str, act: Callable[[], None]) -> None:
        """See `disks.Machinery`."""
        self._in_a_while(self.sync_s, act)

    def _in_a_while(self, about_s: float, act: Callable[[], None]) -> None:
        life = self.incarnation
        self.world.after(about_s * (0.5 + self.world.rng.random()), lambda: self._act_in(life, act))

    def _execute(self, future: asyncio.Future[Any], work: Callable[[], Any]) -> None:
        """What the engine gives to a thread: it is done some time later, all at once."""

        def run() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - as an executor does
                future.set_exception(error)

        self._in_a_while(self.job_s, run)

    def appended(self, entries: Sequence[Entry], previous_term: int) -> None:
        """See `disks.Machinery`."""
        self.invariants.appended(self.name, entries, previous_term)

    # its place in the network

    def set_peers(self, peers: Mapping[str, str]) -> None:
        """Whom the engine wants to be connected to."""
        self.wanted = dict(peers)
        self.world.after(0.0, lambda: self.network.settle(self.name))

    def send(self, peer: str, message: Any) -> bool:
        """The engine sends."""
        self.operation("message")
        return self.network.send(self.name, peer, message)

    def encode(self, message: Any) -> Any:
        """See `network.Station`."""
        return self.disk.encode(message)

    def kind(self, encoded: Any) -> str:
        """See `network.Station`."""
        return self.disk.kind(encoded)

    def delivered(self, sender: str, encoded: Sequence[Any]) -> None:
        """See `network.Station`."""
        if self.world.traced:
            for one in encoded:
                self.world.say(f"{sender} -> {self.name}", str(self.disk.decode(one)).replace("\n", " ")[:300])
        core = self.core
        if core is not None:
            self.act(lambda: core.deliver(sender, [self.disk.decode(one) for one in encoded]))

    def linked(self, peer: str, up: bool) -> None:
        """See `network.Station`."""
        core = self.core
        if core is not None:
            self.act(lambda: core.link(peer, up))


def _nothing() -> None:
    """The loop runs what is due."""
