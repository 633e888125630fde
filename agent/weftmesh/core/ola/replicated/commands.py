"""What can be asked of the machine of agreements."""

from __future__ import annotations

from weftmesh.core.board.commands import Header
from weftmesh.core.ola.model import Agreement, Exclusion, RouteMode, ServiceClass
from weftmesh.core.ola.replicated.rows import ConfirmedAgreement, EndpointWeight, ObjectiveCount, OverrideKind
from weftmesh.core.records import record


@record(frozen=True, slots=True)
class NewGeneration:
    """An agreement to apply."""

    agreement: Agreement
    seen: int
    """The generation that the writer saw, retired or not; 0 for a new agreement."""


@record(frozen=True, slots=True)
class Retirement:
    """An agreement to retire."""

    name: str
    seen: int


@record(frozen=True, slots=True)
class ApplyAgreements:
    """Apply a set of agreements and retire others: all of it or nothing. What is in force as it is stays so."""

    header: Header
    agreements: tuple[NewGeneration, ...]
    retire: tuple[Retirement, ...] = ()
    why: str = ""


@record(frozen=True, slots=True)
class AddExclusion:
    """Leave a time out of an agreement's account."""

    header: Header
    name: str
    exclusion: Exclusion


@record(frozen=True, slots=True)
class RemoveExclusion:
    """Take an added exclusion back."""

    header: Header
    name: str
    number: int
    why: str


@record(frozen=True, slots=True)
class RecordWindow:
    """Add what one node counted in one window, of all its objectives. The first word for a window holds."""

    header: Header
    node: str
    starts_s: int
    counts: tuple[ObjectiveCount, ...]


@record(frozen=True, slots=True)
class Confirm:
    """Add a node's signed word for a window that it has recorded."""

    header: Header
    node: str
    starts_s: int
    agreements: tuple[ConfirmedAgreement, ...]
    signature: bytes


@record(frozen=True, slots=True)
class SetOverride:
    """Drain or pin an endpoint, freeze a route, or set its mode."""

    header: Header
    route: str
    kind: OverrideKind
    why: str
    endpoint: str = ""
    mode: RouteMode = RouteMode.OBSERVE


@record(frozen=True, slots=True)
class ClearOverride:
    """Take an override back."""

    header: Header
    route: str
    kind: OverrideKind
    why: str
    endpoint: str = ""


@record(frozen=True, slots=True)
class SetWeights:
    """Order shares of a route, if the present ones are still those that the writer saw; none take the order back."""

    header: Header
    route: str
    seen: int
    """Their generation; 0 for none."""
    weights: tuple[EndpointWeight, ...]
    why: str
    inputs: bytes = b""


@record(frozen=True, slots=True)
class SetClass:
    """Raise a service's class above the agreed one, or lower it back to that."""

    header: Header
    name: str
    to: ServiceClass
    why: str


@record(frozen=True, slots=True)
class OpenBreach:
    """Say that an objective burns its budget. One that is open already stays as it is."""

    header: Header
    name: str
    objective: str
    started_s: int
    evidence: str


@record(frozen=True, slots=True)
class CloseBreach:
    """Say that it is over."""

    header: Header
    name: str
    objective: str
    started_s: int
    ended_s: int
    evidence: str


Command = (
    ApplyAgreements
    | AddExclusion
    | RemoveExclusion
    | RecordWindow
    | Confirm
    | SetOverride
    | ClearOverride
    | SetWeights
    | SetClass
    | OpenBreach
    | CloseBreach
)
