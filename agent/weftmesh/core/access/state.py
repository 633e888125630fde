"""The machine of roles at one revision, as plain values: what a snapshot stores and a new replica starts from."""

from __future__ import annotations

from weftmesh.core.access.model import Binding
from weftmesh.core.access.outcomes import AccessEvent, AccessOutcome
from weftmesh.core.board.first_answers import AnsweredRequest
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class AccessState:
    """Everything that the machine knows."""

    revision: int
    state_hash: bytes
    """16 bytes, the sum of the row hashes."""
    event_floor: int
    """Events up to this revision are no longer kept."""
    bindings: tuple[Binding, ...]
    """In the order in which they came."""
    events: tuple[AccessEvent, ...]
    """One for each revision after the floor."""
    requests: tuple[AnsweredRequest[AccessOutcome], ...]
    """The oldest answer first."""
