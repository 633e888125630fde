"""The machine of roles behind a log: reads its commands and tells of its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from weftmesh.access.v1.command_pb2 import AccessCommand
from weftmesh.agent.raft.engine import Swap
from weftmesh.core.access.machine import Access
from weftmesh.core.access.outcomes import AccessEvent, AccessOutcome, Reason
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.wire.access_commands import decode_access_command
from weftmesh.runtime.wire.access_rows import access_from_rows, access_rows

AccessListener = Callable[[Sequence[AccessEvent]], None]
"""Called after each log entry that changed the machine, with its events."""


class AccessDriver:
    """Drives a machine of roles; implements `machines.Driver`."""

    def __init__(self, clock: HybridClock) -> None:
        self.access = Access()
        self._clock = clock
        self._listeners: list[AccessListener] = []
        self._events: list[AccessEvent] = []
        self._announced = 0

    def on_applied(self, listener: AccessListener) -> None:
        """Call `listener` after every applied entry that changed something."""
        self._listeners.append(listener)

    @property
    def hash_sum(self) -> int:
        """The machine's state hash as a number; 0 while it is empty."""
        return self.access.hash_sum

    def apply(self, message: AccessCommand, now_ms: int) -> AccessOutcome:
        """Apply one command; one that this version cannot read is refused."""
        try:
            command = decode_access_command(message)
        except InvalidInputError as error:
            return AccessOutcome(
                OutcomeKind.INVALID, self.access.revision, message=str(error), reason=Reason.INVALID_VALUE
            )
        # What this node writes next must come after what it has seen.
        self._clock.observe(command.header.stamp, now_ms)
        outcome, events = self.access.apply(command)
        self._events += events
        return outcome

    def announce(self, commit_time_us: int) -> None:  # noqa: ARG002, as every driver's
        """Tell the listeners what the entry that was just applied has caused."""
        if self.access.revision != self._announced:
            self._announced = self.access.revision
            events, self._events = self._events, []
            for listener in self._listeners:
                listener(events)

    def snapshot(self) -> Callable[[], Iterator[bytes]]:
        """Freeze the machine now; the returned function encodes the frozen rows."""
        frozen = self.access.freeze()
        return lambda: access_rows(frozen)

    def prepare_restore(self, rows: Iterable[bytes]) -> Swap:
        """Make a machine of its rows; what is returned puts it in the place of the present one."""
        prepared = access_from_rows(rows)

        def swap() -> Iterator[None]:
            self.access = prepared
            self._announced = prepared.revision
            return iter(())

        return swap
