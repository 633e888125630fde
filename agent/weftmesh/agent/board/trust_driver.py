"""The machine of trust behind a log: reads its commands and tells of its changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from weftmesh.agent.raft.engine import Swap
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.trust.machine import Trust
from weftmesh.core.trust.outcomes import Reason, TrustOutcome
from weftmesh.mesh.v1.trust_pb2 import TrustCommand
from weftmesh.runtime.wire.trust_commands import decode_trust_command
from weftmesh.runtime.wire.trust_rows import trust_from_rows, trust_rows

TrustListener = Callable[[], None]
"""Called within the event loop after each log entry that changed the machine."""


class TrustDriver:
    """Drives a machine of trust; implements `machines.Driver`."""

    def __init__(self, clock: HybridClock) -> None:
        self.trust = Trust()
        self._clock = clock
        self._listeners: list[TrustListener] = []
        self._announced = 0

    def on_applied(self, listener: TrustListener) -> None:
        """Call `listener` after every applied entry that changed something."""
        self._listeners.append(listener)

    @property
    def hash_sum(self) -> int:
        """The machine's state hash as a number; 0 while it is empty."""
        return self.trust.hash_sum

    def apply(self, message: TrustCommand, now_ms: int) -> TrustOutcome:
        """Apply one command; one that this version cannot read is refused."""
        try:
            command = decode_trust_command(message)
        except InvalidInputError as error:
            return TrustOutcome(
                OutcomeKind.INVALID, self.trust.revision, message=str(error), reason=Reason.INVALID_VALUE
            )
        # What this node writes next must come after what it has seen.
        self._clock.observe(command.header.stamp, now_ms)
        return self.trust.apply(command)

    def announce(self, commit_time_us: int) -> None:  # noqa: ARG002, as every driver's
        """Tell the listeners that the entry that was just applied has changed something."""
        if self.trust.revision != self._announced:
            self._announced = self.trust.revision
            for listener in self._listeners:
                listener()

    def snapshot(self) -> Callable[[], Iterator[bytes]]:
        """Freeze the machine now; the returned function encodes the frozen rows."""
        frozen = self.trust.freeze()
        return lambda: trust_rows(frozen)

    def prepare_restore(self, rows: Iterable[bytes]) -> Swap:
        """Make a machine of its rows; what is returned puts it in the place of the present one."""
        prepared = trust_from_rows(rows)

        def swap() -> Iterator[None]:
            self.trust = prepared
            self._announced = prepared.revision
            return iter(())

        return swap
