"""The learning machine at one revision, as plain values: what a snapshot stores and a new replica starts from."""

from __future__ import annotations

from weftmesh.core.board.first_answers import AnsweredRequest
from weftmesh.core.learning.model import Row
from weftmesh.core.learning.outcomes import LearningEvent, LearningOutcome
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class LearningState:
    """Everything that the learning machine knows."""

    revision: int
    state_hash: bytes
    """16 bytes, the sum of the row hashes."""
    event_floor: int
    """Events up to this revision are no longer kept."""
    rows: tuple[Row, ...]
    """Table by table, each in the order in which its rows came."""
    events: tuple[LearningEvent, ...]
    """One for each revision after the floor."""
    requests: tuple[AnsweredRequest[LearningOutcome], ...]
    """The oldest answer first."""
