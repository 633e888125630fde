"""The machine of agreements behind a log: reads its commands and tells of its events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from weftmesh.agent.raft.engine import Swap
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.replicated.machine import Agreements
from weftmesh.core.ola.replicated.outcomes import OlaEvent, OlaOutcome, Reason
from weftmesh.ola.v1.command_pb2 import OlaCommand
from weftmesh.runtime.wire.ola_commands import decode_ola_command
from weftmesh.runtime.wire.ola_rows import ola_from_rows, ola_rows

OlaListener = Callable[[Sequence[OlaEvent]], None]
"""Called after each log entry that changed the machine, with its events; counts and confirmations have none."""


class OlaDriver:
    """Drives a machine of agreements; implements `machines.Driver`."""

    def __init__(self, clock: HybridClock) -> None:
        self.agreements = Agreements()
        self._clock = clock
        self._listeners: list[OlaListener] = []
        self._events: list[OlaEvent] = []
        self._announced = 0

    def on_applied(self, listener: OlaListener) -> None:
        """Call `listener` after every applied entry that changed something."""
        self._listeners.append(listener)

    @property
    def hash_sum(self) -> int:
        """The machine's state hash as a number; 0 while it is empty."""
        return self.agreements.hash_sum

    def apply(self, message: OlaCommand, now_ms: int) -> OlaOutcome:
        """Apply one command; one that this version cannot read is refused."""
        try:
            command = decode_ola_command(message)
        except InvalidInputError as error:
            return OlaOutcome(
                OutcomeKind.INVALID, self.agreements.revision, message=str(error), reason=Reason.INVALID_VALUE
            )
        # What this node writes next must come after what it has seen.
        self._clock.observe(command.header.stamp, now_ms)
        outcome, events = self.agreements.apply(command)
        self._events += events
        return outcome

    def announce(self, commit_time_us: int) -> None:  # noqa: ARG002, as every driver's
        """Tell the listeners what the entry that was just applied has caused."""
        if self.agreements.revision != self._announced:
            self._announced = self.agreements.revision
            events, self._events = self._events, []
            for listener in self._listeners:
                listener(events)

    def snapshot(self) -> Callable[[], Iterator[bytes]]:
        """Freeze the machine now; the returned function encodes the frozen rows."""
        frozen = self.agreements.freeze()
        return lambda: ola_rows(frozen)

    def prepare_restore(self, rows: Iterable[bytes]) -> Swap:
        """Make a machine of its rows; what is returned puts it in the place of the present one."""
        prepared = ola_from_rows(rows)

        def swap() -> Iterator[None]:
            self.agreements = prepared
            self._announced = prepared.revision
            return iter(())

        return swap
