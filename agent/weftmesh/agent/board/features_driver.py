"""The machine of the feature level behind a log: reads its commands and tells when the level rises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from weftmesh.agent.raft.engine import Swap
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.features.machine import FeatureLevel, LevelRaised
from weftmesh.mesh.v1.features_pb2 import FeaturesCommand
from weftmesh.runtime.wire.features import decode_features_command, features_from_rows, features_rows

LevelListener = Callable[[LevelRaised], None]


class FeaturesDriver:
    """Drives the feature level of a log; implements `machines.Driver`."""

    def __init__(self, clock: HybridClock) -> None:
        self._machine = FeatureLevel()
        self._clock = clock
        self._listeners: list[LevelListener] = []
        self._raised: list[LevelRaised] = []

    @property
    def level(self) -> int:
        """What every member can take in, as far as the log is applied."""
        return self._machine.level

    @property
    def levels_raised(self) -> tuple[LevelRaised, ...]:
        """Every level that it was raised to, the lowest first."""
        return self._machine.freeze()

    def on_raised(self, listener: LevelListener) -> None:
        """Call `listener` after an applied entry that raised the level."""
        self._listeners.append(listener)

    @property
    def hash_sum(self) -> int:
        """The machine's state hash as a number; 0 at the first level."""
        return self._machine.hash_sum

    def apply(self, message: FeaturesCommand, now_ms: int) -> Outcome:
        """Apply one command; one that this version cannot read is refused."""
        try:
            command = decode_features_command(message)
        except InvalidInputError as error:
            return Outcome(OutcomeKind.INVALID, self._machine.revision, message=str(error))
        self._clock.observe(command.header.stamp, now_ms)
        outcome, raised = self._machine.apply(command)
        self._raised += raised
        return outcome

    def announce(self, commit_time_us: int) -> None:  # noqa: ARG002, as every driver's
        """Tell the listeners what the entry that was just applied has caused."""
        raised, self._raised = self._raised, []
        for one in raised:
            for listener in self._listeners:
                listener(one)

    def snapshot(self) -> Callable[[], Iterator[bytes]]:
        """Freeze the machine now; the returned function encodes the frozen rows."""
        frozen = self._machine.freeze()
        return lambda: features_rows(frozen)

    def prepare_restore(self, rows: Iterable[bytes]) -> Swap:
        """Make a machine of its rows; what is returned puts it in the place of the present one."""
        prepared = features_from_rows(rows)

        def swap() -> Iterator[None]:
            self._machine = prepared
            return iter(())

        return swap
