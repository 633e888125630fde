"""Token buckets: how often something may happen on average, and how often at once. Time is an argument.

A bucket is kept as the one moment at which it would be full again (the generic cell rate algorithm, ITU-T I.371): a
number for each caller, and no work while nobody calls.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

from weftmesh.core.errors import InvalidInputError

CALLERS_REMEMBERED_MAX: Final = 4_096
"""The ones that were quiet the longest are forgotten first: their buckets are the fullest."""
ROUNDING_S: Final = 1e-6
"""A wait below it is the rounding of sums, and none."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may happen.

    Attributes:
        per_s: on average.
        burst: at once, after a time of rest.

    Raises:
        InvalidInputError: one of them is not positive.
    """

    per_s: float
    burst: float

    def __post_init__(self) -> None:
        if self.per_s <= 0 or self.burst < 1:
            raise InvalidInputError(
                f"a rate of {self.per_s:g} a second and {self.burst:g} at once lets nothing through"
            )


class Buckets:
    """One bucket for each caller, all of one rate.

    Attributes:
        rate: may be changed at any time; until a bucket would have been full again, it fills as before.
    """

    def __init__(self, rate: Rate, callers_max: int = CALLERS_REMEMBERED_MAX) -> None:
        self.rate = rate
        self._callers_max = callers_max
        self._full_at_s: OrderedDict[Hashable, float] = OrderedDict()

    def take(self, caller: Hashable, now_s: float, count: float = 1.0) -> float:
        """Take `count` from the caller's bucket.

        Args:
            caller: whose.
            now_s: on a clock that never goes back.
            count: more than a burst is counted as a burst, so that it is possible at all.

        Returns:
            0 if it was taken; otherwise nothing was, and it can be in that many seconds.
        """
        rate = self.rate
        burst_s = rate.burst / rate.per_s
        cost_s = min(count, rate.burst) / rate.per_s
        full_at_s = max(self._full_at_s.get(caller, now_s), now_s) + cost_s
        if (wait_s := full_at_s - now_s - burst_s) > ROUNDING_S:
            return wait_s
        self._full_at_s[caller] = full_at_s
        self._full_at_s.move_to_end(caller)
        if len(self._full_at_s) > self._callers_max:
            self._full_at_s.popitem(last=False)
        return 0.0

    def __len__(self) -> int:
        return len(self._full_at_s)
