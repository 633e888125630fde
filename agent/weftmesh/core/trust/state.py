"""The machine of trust at one revision, as plain values: what a snapshot stores and a new replica starts from."""

from __future__ import annotations

from weftmesh.core.records import record
from weftmesh.core.trust.outcomes import TrustOutcome
from weftmesh.core.trust.rows import Row


@record(frozen=True, slots=True)
class AnsweredRequest:
    """The first answer to a request id."""

    request_id: bytes
    digest: int
    outcome: TrustOutcome
    order: int
    """The revision when it was answered."""


@record(frozen=True, slots=True)
class TrustState:
    """Everything that the machine knows."""

    revision: int
    state_hash: bytes
    """16 bytes, the sum of the row hashes."""
    rows: tuple[Row, ...]
    requests: tuple[AnsweredRequest, ...]
    """The oldest answer first."""
