"""The learning machine behind a log: reads its commands and tells of its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from weftmesh.agent.raft.engine import Swap
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.learning.machine import Learning
from weftmesh.core.learning.outcomes import LearningEvent, LearningOutcome, Reason
from weftmesh.learning.v1.command_pb2 import LearningCommand
from weftmesh.runtime.wire.learning_commands import decode_learning_command
from weftmesh.runtime.wire.learning_rows import learning_from_rows, learning_rows

LearningListener = Callable[[Sequence[LearningEvent]], None]
"""Called after each log entry with the learning events that it caused."""


class LearningDriver:
    """Drives a learning machine; implements `machines.Driver`."""

    def __init__(self, clock: HybridClock) -> None:
        self.learning = Learning()
        self._clock = clock
        self._listeners: list[LearningListener] = []
        self._events: list[LearningEvent] = []

    def on_applied(self, listener: LearningListener) -> None:
        """Call `listener` after every applied entry that changed something."""
        self._listeners.append(listener)

    @property
    def hash_sum(self) -> int:
        """The machine's state hash as a number; 0 while it is empty."""
        return self.learning.hash_sum

    def apply(self, message: LearningCommand, now_ms: int) -> LearningOutcome:
        """Apply one command; one that this version cannot read is refused."""
        try:
            command = decode_learning_command(message)
        except InvalidInputError as error:
            return LearningOutcome(
                OutcomeKind.INVALID, self.learning.revision, message=str(error), reason=Reason.INVALID_VALUE
            )
        # What this node writes next must come after what it has seen.
        self._clock.observe(command.header.stamp, now_ms)
        outcome, events = self.learning.apply(command)
        self._events += events
        return outcome

    def announce(self, commit_time_us: int) -> None:  # noqa: ARG002, as every driver's
        """Tell the listeners what the entry that was just applied has caused."""
        if self._events:
            events, self._events = self._events, []
            for listener in self._listeners:
                listener(events)

    def snapshot(self) -> Callable[[], Iterator[bytes]]:
        """Freeze the machine now; the returned function encodes the frozen rows."""
        frozen = self.learning.freeze()
        return lambda: learning_rows(frozen)

    def prepare_restore(self, rows: Iterable[bytes]) -> Swap:
        """Make a machine of its rows; what is returned puts it in the place of the present one."""
        prepared = learning_from_rows(rows)

        def swap() -> Iterator[None]:
            self.learning = prepared
            return iter(())

        return swap
