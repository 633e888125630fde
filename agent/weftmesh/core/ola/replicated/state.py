"""The machine of agreements at one revision, as plain values: what a snapshot stores and a new replica starts from."""

from __future__ import annotations

from weftmesh.core.board.first_answers import AnsweredRequest
from weftmesh.core.ola.replicated.history import Chunk
from weftmesh.core.ola.replicated.outcomes import OlaEvent, OlaOutcome
from weftmesh.core.ola.replicated.rows import Row
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class OlaState:
    """Everything that the machine knows."""

    revision: int
    state_hash: bytes
    """16 bytes, the sum of the row hashes."""
    event_floor: int
    """Events up to this revision may be gone."""
    newest_s: int
    """Where the newest window starts, Unix seconds; 0 for none."""
    rows: tuple[Row, ...]
    """Table by table, each in the order in which its rows came."""
    chunks: tuple[Chunk, ...]
    events: tuple[OlaEvent, ...]
    requests: tuple[AnsweredRequest[OlaOutcome], ...]
    """The oldest answer first."""
