"""The state machines that one replicated log drives, and how each is written down. A later machine adds a row."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from google.protobuf.message import DecodeError

from weftmesh.agent.raft.engine import Swap
from weftmesh.core.board.commands import CreateTask
from weftmesh.core.board.machine import Board
from weftmesh.core.board.outcomes import Event, Outcome, OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.clock import wall_ms
from weftmesh.runtime.wire.commands import decode_command
from weftmesh.runtime.wire.snapshot_rows import rows_of, state_from_rows

AppliedListener = Callable[[Sequence[Event], int], None]
"""Called after each log entry with the events it caused and the leader's commit time in microseconds (0: unknown)."""
RECENT_STATES: Final = 4_096
"""Entries after which the board's hash is remembered, for replicas to compare: some seconds under full load."""


class BoardMachine:
    """Drives one board from a log; implements `raft.engine.StateMachine`.

    A log entry carries many commands; its result is the list of their outcomes, in order.
    """

    def __init__(self, home: str, clock: HybridClock) -> None:
        self.board = Board()
        self._home = home
        """`mesh`, or `node:NAME`: whose tasks may enter this log."""
        self._clock = clock
        self._listeners: list[AppliedListener] = []
        self._restored: list[Callable[[], None]] = []
        self._recent_states: deque[tuple[int, str]] = deque(maxlen=RECENT_STATES)

    def on_applied(self, listener: AppliedListener) -> None:
        """Call `listener` after every applied entry that changed something."""
        self._listeners.append(listener)

    def on_restored(self, listener: Callable[[], None]) -> None:
        """Call `listener` after a snapshot replaced the board: what was known of it may be out of date."""
        self._restored.append(listener)

    def apply(self, index: int, command: bytes, commit_time_us: int) -> list[Outcome]:
        """Apply every command of one entry; a command that nobody understands is refused, not fatal."""
        try:
            commands = raft_pb2.MachineCommands.FromString(command).commands
        except DecodeError as error:
            return [self._refused(f"log entry {index} does not parse: {error}")]
        outcomes: list[Outcome] = []
        events: list[Event] = []
        now_ms = wall_ms()
        for item in commands:
            outcome, caused = self._apply_one(item, now_ms)
            outcomes.append(outcome)
            events += caused
        if events:
            for listener in self._listeners:
                listener(events, commit_time_us)
        self._recent_states.append((index, self.board.state_hash))
        return outcomes

    def state_hash_at(self, index: int, restored_index: int) -> str:
        """The board's hash right after entry `index`, which is applied; empty when it is no longer known.

        Args:
            index: of the log.
            restored_index: of the newest snapshot; nothing is known of what was before it.
        """
        for applied, state_hash in reversed(self._recent_states):
            if applied <= index:
                return state_hash
        return self.board.state_hash if not self._recent_states and restored_index <= index else ""

    def _apply_one(self, item: raft_pb2.MachineCommand, now_ms: int) -> tuple[Outcome, tuple[Event, ...]]:
        if item.WhichOneof("machine") != "board":
            return self._refused("this version knows no such machine; upgrade this node"), ()
        try:
            command = decode_command(item.board)
        except InvalidInputError as error:
            return self._refused(str(error)), ()
        if isinstance(command, CreateTask) and (elsewhere := self._elsewhere(command.project_id)):
            return self._refused(f"the tasks of {command.project_id} live at {elsewhere}; write them there"), ()
        # What this node writes next must come after what it has seen.
        self._clock.observe(command.header.stamp, now_ms)
        return self.board.apply(command)

    def _elsewhere(self, project_id: str) -> str:
        """The home of a project whose tasks must not enter this log; empty when they may."""
        project = self.board.project(project_id)
        return "" if project is None or project.home == self._home else project.home

    def _refused(self, message: str) -> Outcome:
        return Outcome(OutcomeKind.INVALID, self.board.revision, message=message)

    def snapshot(self) -> Callable[[], Iterator[bytes]]:
        """Freeze the board now; the returned function encodes the frozen rows."""
        frozen = self.board.freeze()
        return lambda: rows_of(frozen)

    def prepare_restore(self, rows: Iterable[bytes]) -> Swap:
        """Make a board of a snapshot; what is returned puts it in the place of the present one."""
        prepared = Board.thaw(state_from_rows(rows))

        def swap() -> Iterator[None]:
            former, self.board = self.board, prepared
            self._recent_states.clear()
            for listener in self._restored:
                listener()
            return former.dismantle()

        return swap
