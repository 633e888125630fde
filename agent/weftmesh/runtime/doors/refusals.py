"""Counts what the node's doors turned away, by reason; a line in the log says so now and then, however many it were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import structlog

LOG_INTERVAL_S: Final = 10.0
REASONS: Final = (
    "RATE_LIMITED",
    "TOO_MANY_CALLS",
    "TOO_MANY_WATCHERS",
    "TOO_MANY_WRITE_STREAMS",
    "HEADERS_TOO_LARGE",
    "CONNECTION_MISUSED",
    "CONNECTION_UNPROVEN",
    "TOO_MANY_CONNECTIONS",
)
"""Every reason that is counted: the first five end a call, the others a connection."""

_log = structlog.get_logger("weftmesh.limits")


class Refusals:
    """What was refused since the node began.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self._unsaid: Counter[str] = Counter()
        self._said_at_s = float("-inf")

    @property
    def by_reason(self) -> Mapping[str, int]:
        """How many by reason; each of REASONS is there."""
        return dict(self._counts)

    def count(self, reason: str, whose: str, number: int = 1) -> None:
        """Add to the count of `reason`.

        Args:
            reason: one of REASONS.
            whose: an example for the log.
            number: how many.
        """
        self._counts[reason] += number
        self._unsaid[reason] += number
        now_s = self._clock()
        if now_s - self._said_at_s >= LOG_INTERVAL_S:
            self._said_at_s = now_s
            _log.warning("limits refuse callers; see docs/limits.md", latest=whose, **dict(self._unsaid))
            self._unsaid.clear()
