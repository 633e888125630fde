"""The machine of the feature level: pure, with the house's verbs `apply`, `next_deadline`, `check` and `story`.

Empty at the first level, so that logs and states of builds that knew no levels stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from weftmesh.core.board.commands import Header
from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.features.levels import FIRST_LEVEL
from weftmesh.core.records import record
from weftmesh.core.row_hashes import HASH_BYTES, row_hash_of

_DOMAIN: Final = b"features"
_HASH_MASK: Final = (1 << 8 * HASH_BYTES) - 1


@record(frozen=True, slots=True)
class RaiseLevel:
    """Go up to `level`, one step."""

    header: Header
    level: int
    members: tuple[str, ...]
    """Those who said that they support it, sorted."""


@record(frozen=True, slots=True)
class LevelRaised:
    """The mesh has had `level` from here on: the event, and the row that is kept of it."""

    level: int
    members: tuple[str, ...]
    actor: str
    stamp: int


class FeatureLevel:
    """The level of one log, and how it came there. Not safe for concurrent use."""

    def __init__(self) -> None:
        self._raised: list[LevelRaised] = []
        self._hash = 0

    # Verbs

    def apply(self, command: RaiseLevel) -> tuple[Outcome, tuple[LevelRaised, ...]]:
        """Raise the level by one. Never raises an exception; a level that is reached already changes nothing."""
        if command.level <= self.level:
            return Outcome(OutcomeKind.UNCHANGED, self.revision, current_version=self.level), ()
        if command.level > self.level + 1:
            return self._refused(command.level), ()
        raised = LevelRaised(command.level, command.members, command.header.actor, command.header.stamp)
        self._put(raised)
        return Outcome(OutcomeKind.APPLIED, self.revision, current_version=self.level), (raised,)

    def next_deadline(self) -> None:
        """It has no timers: whoever leads raises the level."""

    def check(self) -> None:
        """Asserts every invariant."""
        levels = [raised.level for raised in self._raised]
        assert levels == list(range(FIRST_LEVEL + 1, self.level + 1)), f"levels {levels} leave a gap"  # noqa: S101
        expected = sum(row_hash_of(raised, _DOMAIN) for raised in self._raised) & _HASH_MASK
        assert self.hash_sum == expected, "the state hash is not that of the rows"  # noqa: S101

    def story(self, key: str) -> str:
        """How the mesh came to the level whose number is `key`."""
        for raised in self._raised:
            if str(raised.level) == key:
                return f"level {key}: raised by {raised.actor}; supported by {', '.join(raised.members)}"
        return f"level {key}: where every mesh begins" if key == str(FIRST_LEVEL) else f"level {key}: not reached"

    def _refused(self, level: int) -> Outcome:
        message = f"the level is {self.level}, and goes up one step at a time; {level} comes later"
        return Outcome(OutcomeKind.PRECONDITION, self.revision, message=message, current_version=self.level)

    def _put(self, raised: LevelRaised) -> None:
        self._raised.append(raised)
        self._hash = (self._hash + row_hash_of(raised, _DOMAIN)) & _HASH_MASK

    # State

    @property
    def level(self) -> int:
        """What all members support."""
        return self._raised[-1].level if self._raised else FIRST_LEVEL

    @property
    def revision(self) -> int:
        """How often it was raised; 0 for an empty machine."""
        return len(self._raised)

    @property
    def hash_sum(self) -> int:
        """The state hash as a number: 0 for an empty machine, and it adds up with those of other machines."""
        return self._hash

    @property
    def state_hash(self) -> str:
        """32 hexadecimal digits, equal where states are equal."""
        return self._hash.to_bytes(HASH_BYTES, "big").hex()

    def freeze(self) -> tuple[LevelRaised, ...]:
        """The whole state, of immutable values: the lowest level first."""
        return tuple(self._raised)

    @classmethod
    def thaw(cls, rows: Iterable[LevelRaised]) -> FeatureLevel:
        """A machine with that state.

        Raises:
            ValueError: the rows leave a gap.
        """
        machine = cls()
        for row in rows:
            if row.level != machine.level + 1:
                raise ValueError(f"level {row.level} after level {machine.level}")
            machine._put(row)
        return machine
