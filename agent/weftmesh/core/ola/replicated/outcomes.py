"""What comes of a command about agreements: an outcome for whoever asked, and events for everybody who watches."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.records import record


class Reason(StrEnum):
    """Why a command was refused, for programs. Words are written to disk."""

    NONE = ""
    INVALID_VALUE = "INVALID_VALUE"
    REQUEST_REUSED = "REQUEST_REUSED"
    NO_SUCH_AGREEMENT = "NO_SUCH_AGREEMENT"
    NO_SUCH_OBJECTIVE = "NO_SUCH_OBJECTIVE"
    NO_SUCH_EXCLUSION = "NO_SUCH_EXCLUSION"
    NO_SUCH_ROUTE = "NO_SUCH_ROUTE"
    NO_SUCH_ENDPOINT = "NO_SUCH_ENDPOINT"
    NO_SUCH_BREACH = "NO_SUCH_BREACH"
    LIMIT_REACHED = "LIMIT_REACHED"
    GENERATION_CONFLICT = "GENERATION_CONFLICT"
    """Somebody changed it meanwhile."""
    CONTRADICTION = "CONTRADICTION"
    """It does not go with what others applied meanwhile."""
    WINDOW_TOO_OLD = "WINDOW_TOO_OLD"
    WINDOW_NOT_OVER = "WINDOW_NOT_OVER"
    WINDOW_AHEAD = "WINDOW_AHEAD"
    """Of the node itself, not of the machine: its clock seems to be wrong by days."""
    WINDOW_NOT_RECORDED = "WINDOW_NOT_RECORDED"
    CLASS = "CLASS"
    """A class below the agreed one."""


@record(frozen=True, slots=True)
class OlaOutcome(Outcome):
    """The answer to one command; `subject` is the agreement or route, `current_version` its generation."""

    reason: Reason = Reason.NONE


class Verb(IntEnum):
    """What happened. Numbers are written to disk."""

    APPLIED = 1
    RETIRED = 2
    EXCLUSION_ADDED = 3
    EXCLUSION_REMOVED = 4
    OVERRIDE_SET = 5
    OVERRIDE_CLEARED = 6
    WEIGHTS_SET = 7
    CLASS_RAISED = 8
    CLASS_LOWERED = 9
    BREACH_OPENED = 10
    BREACH_CLOSED = 11


@record(frozen=True, slots=True)
class OlaEvent:
    """One change that people want to know of. Counts and confirmations change the revision and make none."""

    revision: int
    """Several events of one set have the same."""
    verb: Verb
    subject: str
    """The agreement's name; of overrides and weights, the route's."""
    generation: int
    """Of the agreement or of the weights; 0 where none is concerned."""
    note: str
    actor: str
    stamp: int
