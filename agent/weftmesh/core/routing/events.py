"""What a routing table is told, and what comes of it."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from weftmesh.core.records import record
from weftmesh.core.routing.model import Decision, Endpoint, Mode, Override, OverrideKind, Reading, Row, Settings


@record(frozen=True, slots=True)
class SetRoute:
    """A route is there, with these endpoints and settings; its overrides, mode and history stay if it was before."""

    route: str
    endpoints: tuple[Endpoint, ...]
    settings: Settings = Settings()
    mode: Mode = Mode.OBSERVE
    """What a new route begins with."""
    overrides: tuple[Override, ...] = ()
    """What a new route begins with, as far as they can be followed: its first table has arrived where they want it."""


@record(frozen=True, slots=True)
class RestoreRoute:
    """A route is there again, as it was when the process before this one ended.

    Attributes:
        route: its name; it is not there yet.
        endpoints: as it had them.
        settings: as it had them.
        mode: as it was.
        overrides: as they were.
        rows: the table in force then, a row for each endpoint.
        version: how often the table had changed.
        decided: the number of the latest decision.
    """

    route: str
    endpoints: tuple[Endpoint, ...]
    settings: Settings
    mode: Mode
    overrides: tuple[Override, ...]
    rows: tuple[Row, ...]
    version: int
    decided: int


@record(frozen=True, slots=True)
class RemoveRoute:
    """A route is no longer there."""

    route: str


@record(frozen=True, slots=True)
class Observe:
    """How endpoints look now; those that are not named look as before."""

    route: str
    readings: tuple[Reading, ...]


@record(frozen=True, slots=True)
class SetMode:
    """What becomes of decisions from now on."""

    route: str
    mode: Mode


@record(frozen=True, slots=True)
class SetOverride:
    """An operator's order; it takes the place of one of the same kind for the same endpoint."""

    route: str
    override: Override


@record(frozen=True, slots=True)
class ClearOverride:
    """An order is taken back; `endpoint` is empty for a freeze and for shares."""

    route: str
    kind: OverrideKind
    endpoint: str = ""


@record(frozen=True, slots=True)
class Wake:
    """Time passed: what `next_deadline` asked for."""


Event: TypeAlias = SetRoute | RestoreRoute | RemoveRoute | Observe | SetMode | SetOverride | ClearOverride | Wake


class OutcomeKind(StrEnum):
    """What came of an event."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class Refusal(StrEnum):
    """Why an event was refused, for programs."""

    NONE = ""
    NO_SUCH_ROUTE = "NO_SUCH_ROUTE"
    NO_SUCH_ENDPOINT = "NO_SUCH_ENDPOINT"
    NO_SUCH_OVERRIDE = "NO_SUCH_OVERRIDE"
    LAST_ENDPOINT = "LAST_ENDPOINT"
    """The order would leave no endpoint open."""
    CONTRADICTION = "CONTRADICTION"
    """Another order says the opposite."""
    INVALID = "INVALID"
    LIMIT_REACHED = "LIMIT_REACHED"
    OVERTAKEN = "OVERTAKEN"
    """Another event changed the route while this one was being taken in."""


@record(frozen=True, slots=True)
class Outcome:
    """The answer to whoever sent the event; `message` says what, where and what to do."""

    kind: OutcomeKind
    message: str = ""
    refusal: Refusal = Refusal.NONE


@record(frozen=True, slots=True)
class TableChanged:
    """A table with new weights is in force: tell whoever follows it."""

    route: str
    version: int
    rows: tuple[Row, ...]


@record(frozen=True, slots=True)
class Suggested:
    """A decision that did not take effect: show it."""

    route: str
    decision: Decision


@record(frozen=True, slots=True)
class Decided:
    """A decision to append to the log."""

    route: str
    decision: Decision


Effect: TypeAlias = TableChanged | Suggested | Decided
