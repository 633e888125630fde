"""The board behind a log: reads its commands, keeps tasks out of a log that is not their home, tells of its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from weftmesh.agent.raft.engine import Swap
from weftmesh.board.v1.command_pb2 import BoardCommand
from weftmesh.core.board.commands import CreateTask
from weftmesh.core.board.machine import Board
from weftmesh.core.board.outcomes import Event, Outcome, OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.wire.commands import decode_command
from weftmesh.runtime.wire.snapshot_rows import rows_of, state_from_rows

AppliedListener = Callable[[Sequence[Event], int], None]
"""Called after each log entry with the events it caused and the leader's commit time in microseconds (0: unknown)."""


class BoardDriver:
    """Drives a board; implements `machines.Driver`."""

    def __init__(self, home: str, clock: HybridClock) -> None:
        self.board = Board()
        self._home = home
        self._clock = clock
        self._listeners: list[AppliedListener] = []
        self._events: list[Event] = []

    def on_applied(self, listener: AppliedListener) -> None:
        """Call `listener` after every applied entry that changed something."""
        self._listeners.append(listener)

    @property
    def hash_sum(self) -> int:
        """The board's state hash as a number."""
        return int(self.board.state_hash, 16)

    def apply(self, message: BoardCommand, now_ms: int) -> Outcome:
        """Apply one command; one that this version cannot read is refused."""
        try:
            command = decode_command(message)
        except InvalidInputError as error:
            return self._refused(str(error))
        if isinstance(command, CreateTask) and (elsewhere := self._elsewhere(command.project_id)):
            return self._refused(f"the tasks of {command.project_id} live at {elsewhere}; write them there")
        # What this node writes next must come after what it has seen.
        self._clock.observe(command.header.stamp, now_ms)
        outcome, events = self.board.apply(command)
        self._events += events
        return outcome

    def announce(self, commit_time_us: int) -> None:
        """Tell the listeners what the entry that was just applied has caused."""
        if self._events:
            events, self._events = self._events, []
            for listener in self._listeners:
                listener(events, commit_time_us)

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
        """Make a board of its rows; what is returned puts it in the place of the present one."""
        prepared = Board.thaw(state_from_rows(rows))

        def swap() -> Iterator[None]:
            former, self.board = self.board, prepared
            return former.dismantle()

        return swap
