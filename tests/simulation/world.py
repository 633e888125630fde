"""The one clock, the one source of chance and the agenda of everything that will happen."""

from __future__ import annotations

import heapq
import logging
import pickle
import random
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any

import structlog
from pysyncobj import serializer, syncobj

from weftmesh.agent.raft import node as engine_module
from weftmesh.agent.raft.core.stock import NoPoller
from weftmesh.agent.raft.snapshots import installer as snapshot_installer
from weftmesh.agent.raft.snapshots import writer as snapshot_writer

if TYPE_CHECKING:
    from tests.simulation.loop import NodeClock

Act = Callable[[], None]
START_S = 1000.0
STEPS_LIMIT = 500_000
"""Of a seed; the longest took some tens of thousands."""
CRITICAL = 50


class World:
    """Time passes only from one item of the agenda to the next; of items for the same time the older goes first."""

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.now_s = START_S
        self.counts: Counter[str] = Counter()
        """How often what happened, for the report."""
        self.running_clock: NodeClock | None = None
        """Of the node that acts at this moment."""
        self._trace = trace
        self._agenda: list[tuple[float, int, Act]] = []
        self._stamp = 0

    def after(self, delay_s: float, act: Act) -> None:
        """Put something on the agenda."""
        self._stamp += 1
        heapq.heappush(self._agenda, (self.now_s + delay_s, self._stamp, act))

    def stamp(self) -> int:
        """A number that rises with every call: tells before from after where the clock stands still."""
        self._stamp += 1
        return self._stamp

    def step(self) -> bool:
        """Let the next thing happen; False when there is none."""
        if not self._agenda:
            return False
        at_s, _, act = heapq.heappop(self._agenda)
        self.now_s = max(self.now_s, at_s)
        self.counts["steps"] += 1
        if self.counts["steps"] > STEPS_LIMIT:
            raise RuntimeError(f"seed {self.seed} takes more than {STEPS_LIMIT} steps: something never comes to rest")
        act()
        return True

    def run_until(self, at_s: float) -> None:
        """Let everything happen that is due before `at_s`."""
        while self._agenda and self._agenda[0][0] <= at_s:
            self.step()
        self.now_s = max(self.now_s, at_s)

    def chance(self, probability: float) -> bool:
        """Throw the dice."""
        return self.rng.random() < probability

    def say(self, *what: object) -> None:
        """A line of the trace."""
        if self._trace:
            print(f"{self.now_s - START_S:9.4f}", *what, flush=True)

    @property
    def traced(self) -> bool:
        """Whether lines of the trace are wanted."""
        return self._trace

    def read_clock(self) -> float:
        """What the node that acts now reads."""
        return self.now_s if self.running_clock is None else self.running_clock.read()


class Reality:
    """While entered, the engines read this world's clocks and dice instead of the machine's, and log nothing.

    Args:
        world: whose clocks and dice.
        with_pickle: for the original core, whose snapshots are pickled.
    """

    def __init__(self, world: World, *, with_pickle: bool = False) -> None:
        self._world = world
        self._with_pickle = with_pickle
        self._saved: list[tuple[Any, str, Any]] = []
        self._logging: dict[str, Any] = {}

    def __enter__(self) -> World:
        world = self._world
        self._replace(syncobj, "monotonicTime", world.read_clock)
        self._replace(syncobj, "random", SimpleNamespace(random=world.rng.random))
        self._replace(syncobj, "createPoller", lambda _kind: NoPoller())
        self._replace(syncobj, "PIPE_NOTIFIER_ENABLED", False)
        self._replace(snapshot_writer, "os", SimpleNamespace(sched_yield=lambda: None))
        self._replace(engine_module, "secrets", SimpleNamespace(randbits=world.rng.getrandbits))
        self._replace(snapshot_installer, "time", SimpleNamespace(sleep=lambda _pause_s: None))
        self._replace(engine_module, "time", SimpleNamespace(time_ns=lambda: int(world.now_s * 1e9)))
        if self._with_pickle:
            self._give_pickle_back()
        self._logging = structlog.get_config()
        self._replace(logging.root.manager, "disable", logging.CRITICAL)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))
        return world

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        structlog.configure(**self._logging)
        for owner, name, value in reversed(self._saved):
            setattr(owner, name, value)

    def _give_pickle_back(self) -> None:
        real = SimpleNamespace(
            dumps=pickle.dumps, loads=pickle.loads, dump=pickle.dump, load=pickle.load, to_bytes=bytes
        )
        self._replace(syncobj, "pickle", real)
        self._replace(serializer, "pickle", real)

    def _replace(self, owner: Any, name: str, value: Any) -> None:
        self._saved.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)
