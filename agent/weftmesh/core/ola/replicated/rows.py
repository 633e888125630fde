"""What is kept of agreements beside their history: generations, standings, windows of nodes, overrides, breaches."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from weftmesh.core.ola.model import Agreement, Exclusion, RouteMode, ServiceClass
from weftmesh.core.records import record


class Limits:
    """Bounds of what the machine accepts and keeps. What is beyond a bound is refused, or the oldest makes room."""

    AGREEMENTS: Final = 1_000
    """That are in force."""
    RETIRED_KEPT: Final = 100
    """The latest to be retired; of others nothing is left."""
    GENERATIONS_KEPT: Final = 8
    EXCLUSIONS_ADDED: Final = 64
    """To one agreement, beside those that it has itself."""
    OVERRIDES: Final = 4_096
    ENDPOINTS: Final = 1_000
    INPUTS_BYTES: Final = 16 * 1024
    """What weights were computed from."""
    NODES: Final = 256
    COUNTS: Final = 4_096
    """Of one node's window."""
    COUNT_MAX: Final = 2**40
    """Events of one objective in one window."""
    BREACHES_KEPT: Final = 16
    """Of one objective, the newest; one that is not over is always kept."""
    NOTE_CHARACTERS: Final = 200
    EVIDENCE_CHARACTERS: Final = 2_000
    EVENTS_KEPT: Final = 4_096


WINDOW_S: Final = 300
"""A node counts in windows of five minutes."""
DAY_S: Final = 86_400
LATE_S: Final = 2 * DAY_S
"""A window is taken for so long after the newest one."""
SHOWN_S: Final = 3_600
"""A node's own windows and confirmations are kept for so long before the newest one, to tell nodes apart."""


class OverrideKind(IntEnum):
    """What an operator does to a route. Numbers are written to disk."""

    DRAIN = 1
    """An endpoint gets nothing new."""
    PIN = 2
    """An endpoint gets everything."""
    FREEZE = 3
    """The table stays as it is."""
    MODE = 4
    """The route's mode, in place of its agreement's."""


@record(frozen=True, slots=True)
class Generation:
    """An agreement as it was applied."""

    name: str
    number: int
    """From 1."""
    agreement: Agreement
    actor: str
    stamp: int
    revision: int


@record(frozen=True, slots=True)
class Standing:
    """How it stands with an agreement now."""

    name: str
    generation: int
    """The newest one, in force unless it is retired."""
    revision: int
    """When this row changed last: who follows agreements asks for those that are newer than what it has."""
    retired: bool = False
    retired_why: str = ""
    raised_to: int = 0
    """A service class above the agreed one; 0 for none."""
    raised_why: str = ""
    exclusions: int = 0
    """Were added so far: the number of the newest one."""


@record(frozen=True, slots=True)
class AddedExclusion:
    """A time that does not count, added to an agreement after it was applied."""

    name: str
    number: int
    exclusion: Exclusion
    stamp: int


@record(frozen=True, slots=True)
class ObjectiveCount:
    """Events of one objective in one window."""

    name: str
    """Of the agreement."""
    objective: str
    """Its key."""
    good: int
    total: int


@record(frozen=True, slots=True)
class NodeWindow:
    """What one node counted in one window."""

    node: str
    starts_s: int
    """Unix seconds, a multiple of WINDOW_S."""
    counts: tuple[ObjectiveCount, ...]


@record(frozen=True, slots=True)
class Attendance:
    """Which windows of a day a node has recorded, and which of them it has confirmed."""

    node: str
    day_s: int
    recorded: bytes
    """A bit for each of the 288 windows, the first one lowest in the first byte."""
    confirmed: bytes


@record(frozen=True, slots=True)
class ConfirmedAgreement:
    """The agreement that a node judged its counts by, and the workflow that it came to them by."""

    name: str
    generation: int
    workflow: bytes
    """The workflow graph's hash."""


@record(frozen=True, slots=True)
class Confirmation:
    """A node's signed word for its window; see `statement`."""

    node: str
    starts_s: int
    agreements: tuple[ConfirmedAgreement, ...]
    signature: bytes


@record(frozen=True, slots=True)
class Override:
    """What an operator does to a route until it is taken back."""

    route: str
    """Empty: every route, to freeze it or for its mode."""
    kind: OverrideKind
    endpoint: str
    """Of DRAIN and PIN."""
    mode: RouteMode
    """Of MODE; of others, OBSERVE."""
    why: str
    actor: str
    stamp: int


@record(frozen=True, slots=True)
class EndpointWeight:
    """An endpoint's share of a route, in parts per billion."""

    endpoint: str
    share_ppb: int


@record(frozen=True, slots=True)
class SlowWeights:
    """Shares that are ordered of a route; none once the order was taken back."""

    route: str
    generation: int
    weights: tuple[EndpointWeight, ...]
    """Sorted by endpoint."""
    why: str
    inputs: bytes
    """What they were computed from: opaque here."""
    actor: str
    stamp: int


@record(frozen=True, slots=True)
class Breach:
    """A time in which an objective burnt its budget too fast."""

    name: str
    objective: str
    started_s: int
    """Unix seconds; with name and objective it names the breach wherever it is spoken of."""
    ended_s: int
    """0 while it goes on."""
    evidence: str
    """In a line or more, for people: of the beginning, and of the end once it is over."""


Row = Generation | Standing | AddedExclusion | NodeWindow | Attendance | Confirmation | Override | SlowWeights | Breach


def class_in_force(agreement: Agreement, standing: Standing) -> ServiceClass:
    """The agreed service class, or the one that it was raised to."""
    return min(agreement.service_class, ServiceClass(standing.raised_to or agreement.service_class))
