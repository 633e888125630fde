"""When to try again after failures: jobs by their own count of them, nodes that gave no answer for a while."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final

FIRST_S: Final = 1.0
MOST_S: Final = 300.0
ABSENT_S: Final = 60.0
"""A node that gave no usable answer is not asked for so long, as long as enough others are there."""


class Pauses:
    """Pauses that double with each failure of one thing in a row, and end with a success.

    Args:
        rng: shortens each by up to a quarter, so that coordinators do not move in step.
        first_s: the first pause.
        most_s: the longest one.
    """

    def __init__(self, rng: random.Random, first_s: float = FIRST_S, most_s: float = MOST_S) -> None:
        self._rng = rng
        self._first_s = first_s
        self._most_s = most_s
        self._failures: dict[str, int] = {}
        self._until_s: dict[str, float] = {}

    def failed(self, key: str, now_s: float) -> float:
        """Note a failure; how long to wait now."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        # 2**30 pauses of a millisecond are longer than any that is asked for; the exponent must not grow for ever.
        pause_s = min(self._first_s * 2.0 ** min(failures - 1, 30), self._most_s) * (1 - self._rng.random() / 4)
        self._until_s[key] = now_s + pause_s
        return pause_s

    def succeeded(self, key: str) -> None:
        """Begin anew."""
        self._failures.pop(key, None)
        self._until_s.pop(key, None)

    def may_try(self, key: str, now_s: float) -> bool:
        """Whether its pause is over."""
        return now_s >= self._until_s.get(key, now_s)

    def failures(self, key: str) -> int:
        """How many in a row."""
        return self._failures.get(key, 0)


class Absentees:
    """Nodes that gave no usable answer of late: a learner without labels would spoil every round of a small mesh."""

    def __init__(self, absent_s: float = ABSENT_S) -> None:
        self._absent_s = absent_s
        self._until_s: dict[str, float] = {}

    def note(self, nodes: Iterable[str], now_s: float) -> None:
        """These gave none."""
        for node in nodes:
            self._until_s[node] = now_s + self._absent_s

    def present(self, nodes: tuple[str, ...], floor: int, now_s: float) -> tuple[str, ...]:
        """Those to ask: without the absentees, unless too few would be left."""
        rest = tuple(node for node in nodes if now_s >= self._until_s.get(node, now_s))
        return rest if len(rest) >= floor else nodes
