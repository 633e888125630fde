"""The state machines that one replicated log drives, in one table. A later machine adds a row.

Each machine has a state hash of its own. What replicas compare is their sum, which is the board's while the others are
empty: it covers every machine, and costs a write nothing where the others are not used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError

from weftmesh.agent.board.access_driver import AccessDriver, AccessListener
from weftmesh.agent.board.board_driver import AppliedListener, BoardDriver
from weftmesh.agent.board.features_driver import FeaturesDriver, LevelListener
from weftmesh.agent.board.learning_driver import LearningDriver, LearningListener
from weftmesh.agent.board.ola_driver import OlaDriver, OlaListener
from weftmesh.agent.board.trust_driver import TrustDriver, TrustListener
from weftmesh.agent.raft.engine import Swap
from weftmesh.core.access.machine import Access
from weftmesh.core.board.hashing import HASH_BYTES, HASH_MASK
from weftmesh.core.board.machine import Board
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.features.levels import FIRST_LEVEL, MACHINE_FEATURES
from weftmesh.core.features.machine import LevelRaised
from weftmesh.core.learning.machine import Learning
from weftmesh.core.ola.replicated.machine import Agreements
from weftmesh.core.trust.machine import Trust
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.machine_rows import ACCESS, BOARD, FEATURES, LEARNING, OLA, TRUST, RowSorter, wrapped

RECENT_STATES: Final = 4_096
"""Entries after which the state hash is remembered, for replicas to compare: some seconds under full load."""


class Driver(Protocol):
    """One machine behind the log, and how it is written down."""

    @property
    def hash_sum(self) -> int:
        """The machine's state hash as a number, 0 to 2^128 - 1; 0 while it is empty."""

    def apply(self, message: Any, now_ms: int) -> Outcome:
        """Apply one command, the message in the machine's case of a MachineCommand. Never raises."""

    def announce(self, commit_time_us: int) -> None:
        """Tell the machine's listeners what the entry that was just applied has caused."""

    def snapshot(self) -> Callable[[], Iterator[bytes]]:
        """Freeze the machine now; the returned function, called in a thread, encodes the frozen rows."""

    def prepare_restore(self, rows: Iterable[bytes]) -> Swap:
        """Make a machine of its rows, beside the present one; see `raft.engine.StateMachine`."""


class LogMachines:
    """Drives all machines of one log; implements `raft.engine.StateMachine`.

    A log entry carries many commands; its result is the list of their outcomes, in order.

    Args:
        home: `mesh`, or `node:NAME`: whose tasks may enter this log.
        clock: follows the stamps of what is applied.
    """

    def __init__(self, home: str, clock: HybridClock) -> None:
        self._board = BoardDriver(home, clock)
        self._learning = LearningDriver(clock)
        self._ola = OlaDriver(clock)
        self._access = AccessDriver(clock)
        self._trust = TrustDriver(clock)
        self._features = FeaturesDriver(clock)
        # By the case of MachineCommand. The board comes first: its rows are read as a snapshot streams by.
        self._drivers: Final[Mapping[str, Driver]] = {
            BOARD: self._board,
            LEARNING: self._learning,
            OLA: self._ola,
            ACCESS: self._access,
            TRUST: self._trust,
            FEATURES: self._features,
        }
        self._beside_board: Final = [driver for name, driver in self._drivers.items() if name != BOARD]
        self._restored: list[Callable[[], None]] = []
        self._recent_states: deque[tuple[int, str]] = deque(maxlen=RECENT_STATES)

    @property
    def board(self) -> Board:
        """The board as it is now; a snapshot may replace it."""
        return self._board.board

    @property
    def learning(self) -> Learning:
        """The learning machine as it is now; a snapshot may replace it."""
        return self._learning.learning

    @property
    def agreements(self) -> Agreements:
        """The machine of agreements as it is now; a snapshot may replace it."""
        return self._ola.agreements

    @property
    def feature_level(self) -> int:
        """What every member can take in, as far as this log is applied."""
        return self._features.level

    @property
    def levels_raised(self) -> Sequence[LevelRaised]:
        """Every level that this log was raised to, the lowest first."""
        return self._features.levels_raised

    def on_level_raised(self, listener: LevelListener) -> None:
        """Call `listener` after an applied entry that raised the feature level."""
        self._features.on_raised(listener)

    @property
    def access(self) -> Access:
        """The machine of roles as it is now; a snapshot may replace it."""
        return self._access.access

    @property
    def trust(self) -> Trust:
        """The machine of trust as it is now; a snapshot may replace it."""
        return self._trust.trust

    def on_applied(self, listener: AppliedListener) -> None:
        """Call `listener` after every applied entry that changed the board."""
        self._board.on_applied(listener)

    def on_learning(self, listener: LearningListener) -> None:
        """Call `listener` after every applied entry that changed the learning machine."""
        self._learning.on_applied(listener)

    def on_ola(self, listener: OlaListener) -> None:
        """Call `listener` after every applied entry that changed the machine of agreements."""
        self._ola.on_applied(listener)

    def on_access(self, listener: AccessListener) -> None:
        """Call `listener` after every applied entry that changed the machine of roles."""
        self._access.on_applied(listener)

    def on_trust(self, listener: TrustListener) -> None:
        """Call `listener` after every applied entry that changed the machine of trust."""
        self._trust.on_applied(listener)

    def on_restored(self, listener: Callable[[], None]) -> None:
        """Call `listener` after a snapshot replaced the machines: what was known of them may be out of date."""
        self._restored.append(listener)

    @property
    def state_hash(self) -> str:
        """32 hexadecimal digits, equal where all machines' states are equal."""
        beside = sum([driver.hash_sum for driver in self._beside_board])
        if not beside:
            return self._board.board.state_hash
        return ((self._board.hash_sum + beside) & HASH_MASK).to_bytes(HASH_BYTES, "big").hex()

    def apply(self, index: int, command: bytes, commit_time_us: int, *, level: int = FIRST_LEVEL) -> list[Outcome]:
        """Apply every command of one entry; a command that nobody understands is refused, not fatal.

        Args:
            index: of the log.
            command: the entry's.
            commit_time_us: microseconds since 1970; 0 where that is not known.
            level: of the fence around the entry.
        """
        try:
            commands = raft_pb2.MachineCommands.FromString(command).commands
        except DecodeError as error:
            return [self._refused(f"log entry {index} does not parse: {error}")]
        now_ms = wall_ms()
        outcomes = [self._apply_one(item, now_ms, level) for item in commands]
        for driver in self._drivers.values():
            driver.announce(commit_time_us)
        self._recent_states.append((index, self.state_hash))
        return outcomes

    def _apply_one(self, item: raft_pb2.MachineCommand, now_ms: int, level: int) -> Outcome:
        machine = item.WhichOneof("machine")
        if machine is None:
            return self._refused("this version knows no such machine; upgrade this node")
        needed = MACHINE_FEATURES.get(machine)
        if needed is not None and needed.level > self.feature_level:
            # Nodes that do not know the machine refuse it too: all states stay equal.
            return self._refused(
                f"{needed.title} needs feature level {needed.level}, this log has {self.feature_level}"
            )
        if machine == FEATURES and item.features.raise_level.level != level:
            # Nodes that do not support the level would have been stopped by its fence, and here they are not.
            return self._refused("a feature level is raised behind a fence of that level alone")
        return self._drivers[machine].apply(getattr(item, machine), now_ms)

    def _refused(self, message: str) -> Outcome:
        return Outcome(OutcomeKind.INVALID, self.board.revision, message=message)

    def state_hash_at(self, index: int, restored_index: int) -> str:
        """The state hash right after entry `index`, which is applied; empty when it is no longer known.

        Args:
            index: of the log.
            restored_index: of the newest snapshot; nothing is known of what was before it.
        """
        for applied, state_hash in reversed(self._recent_states):
            if applied <= index:
                return state_hash
        return self.state_hash if not self._recent_states and restored_index <= index else ""

    def snapshot(self) -> Callable[[], Iterator[bytes]]:
        """Freeze all machines now; the returned function encodes the frozen rows, the feature level's first."""
        order = (FEATURES, *(name for name in self._drivers if name != FEATURES))
        frozen = {name: self._drivers[name].snapshot() for name in order}
        return lambda: chain.from_iterable(
            rows() if name == BOARD else wrapped(name, rows()) for name, rows in frozen.items()
        )

    def prepare_restore(self, rows: Iterable[bytes]) -> Swap:
        """Make machines of a snapshot; what is returned puts them in the place of the present ones."""
        sorter = RowSorter(rows)
        swaps = [driver.prepare_restore(sorter.rows_of(name)) for name, driver in self._drivers.items()]

        def swap() -> Iterator[None]:
            former = [swap_one() for swap_one in swaps]
            self._recent_states.clear()
            for listener in self._restored:
                listener()
            return chain.from_iterable(former)

        return swap
