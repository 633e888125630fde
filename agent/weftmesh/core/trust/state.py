"""The machine of trust at one revision, as plain values: what a snapshot stores and a new replica starts from."""

from __future__ import annotations

from weftmesh.core.board.first_answers import AnsweredRequest
from weftmesh.core.records import record
from weftmesh.core.trust.outcomes import TrustOutcome
from weftmesh.core.trust.rows import Row


@record(frozen=True, slots=True)
class TrustState:
    """Everything that the machine knows."""

    revision: int
    state_hash: bytes
    """16 bytes, the sum of the row hashes."""
    rows: tuple[Row, ...]
    requests: tuple[AnsweredRequest[TrustOutcome], ...]
    """The oldest answer first."""
