"""Hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014): wall time that never runs backwards.

A stamp is one integer: milliseconds since 1970 in the high 48 bits, a counter in the low 16, so that stamps compare as
integers. A counter that overflows carries into the milliseconds.
"""

from __future__ import annotations

from typing import Final

COUNTER_BITS: Final = 16
MAX_DRIFT_MS: Final = 86_400_000
"""How far ahead of this node's wall clock another node's stamp may be and still be followed: a day, so that a clock in
the wrong time zone puts nothing out of order, not even beside another one that is wrong the other way."""


def stamp_to_ms(stamp: int) -> int:
    """The milliseconds since 1970 of a stamp."""
    return stamp >> COUNTER_BITS


def ms_to_stamp(epoch_ms: int) -> int:
    """The first stamp of a millisecond."""
    return epoch_ms << COUNTER_BITS


class HybridClock:
    """Gives each event of a node a stamp later than every stamp it gave or followed before.

    Args:
        last: the highest stamp known from before a restart; 0 for none.
        max_drift_ms: see MAX_DRIFT_MS.
    """

    def __init__(self, last: int = 0, *, max_drift_ms: int = MAX_DRIFT_MS) -> None:
        self._last = last
        self._max_drift_ms = max_drift_ms

    @property
    def last(self) -> int:
        """The highest stamp given or followed so far."""
        return self._last

    def tick(self, now_ms: int) -> int:
        """The stamp of an event that happens now: higher than every one before, though the wall clock fell.

        Not where it fell by more than the drift bound: then it was wrong and has been corrected, or is wrong now, and
        what it said before must not date all that this node does until it is started again.
        """
        if stamp_to_ms(self._last) > now_ms + self._max_drift_ms:
            self._last = 0
        self._last = max(self._last + 1, ms_to_stamp(now_ms))
        return self._last

    def observe(self, stamp: int, now_ms: int) -> bool:
        """Follow a stamp that another node gave: later ticks are higher than it.

        Returns:
            False if it is more than the drift bound ahead of `now_ms`. It is not followed then: one node whose
            clock is wrong by years must not drag the others along.
        """
        if stamp_to_ms(stamp) > now_ms + self._max_drift_ms:
            return False
        self._last = max(self._last, stamp)
        return True
