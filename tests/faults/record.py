"""What the clients of one round were told, to be held against what the nodes have."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.checkers.linearizability import Operation

from weftmesh.board.v1 import board_pb2


class Answered(NamedTuple):
    """One acknowledged write; times are `time.monotonic`."""

    begun_s: float
    returned_s: float
    node: str
    request_id: str


@dataclass
class Record:
    """Of one round.

    Attributes:
        histories: by register (a task's name), what was done to its value.
        acknowledged: by request id, the task that the write changed or made.
        conditional: request ids of acknowledged writes that named the version they saw.
        answered: every acknowledgement, as it came.
        doubtful: creations of unknown outcome, to be asked for again under the same request id.
        unexpected: answers that no fault excuses, and how often they came.
        refused: writes that were refused for want of a majority or of room; they must never show up.
        unknown: writes of unknown outcome.
        unread: reads without an answer.
    """

    histories: dict[str, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    acknowledged: dict[str, str] = field(default_factory=dict)
    conditional: set[str] = field(default_factory=set)
    answered: list[Answered] = field(default_factory=list)
    doubtful: list[board_pb2.CreateTaskRequest] = field(default_factory=list)
    unexpected: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    unknown: int = 0
    unread: int = 0

    @property
    def reads(self) -> int:
        """Linearizable reads that were answered."""
        return sum(one.kind == "read" for history in self.histories.values() for one in history)

    def resumed_s(self, since_s: float, nodes: frozenset[str]) -> float | None:
        """When one of `nodes` first acknowledged a write that began after `since_s`; None if none did so far."""
        times = [one.returned_s for one in self.answered if one.begun_s > since_s and one.node in nodes]
        return min(times, default=None)

    def longest_silence_s(self, since_s: float, until_s: float) -> float:
        """The longest time without an acknowledgement from anywhere between two moments."""
        times = sorted(one.returned_s for one in self.answered if since_s <= one.returned_s <= until_s)
        moments = [since_s, *times, until_s]
        return max(after - before for before, after in itertools.pairwise(moments))
