"""What became of the writes of one log on this node, and how long its entries took."""

from __future__ import annotations

from collections import Counter

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.runtime.metrics.histogram import Histogram


class WriteMeter:
    """Counts; asked by the node's metrics.

    Attributes:
        answered: outcomes that callers got, by kind.
        failed: calls that got no outcome, by the error's reason.
        entry_times: seconds from a proposal to its entry applied here, of those that were.
    """

    def __init__(self) -> None:
        self.answered: Counter[OutcomeKind] = Counter()
        self.failed: Counter[str] = Counter()
        self.entry_times = Histogram()
