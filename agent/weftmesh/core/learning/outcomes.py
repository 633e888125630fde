"""What comes of a learning command: an outcome for whoever asked, and at most one event for everybody who watches."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.records import record


class Reason(StrEnum):
    """Why a command was refused, for programs. Words are written to disk."""

    NONE = ""
    INVALID_VALUE = "INVALID_VALUE"
    REQUEST_REUSED = "REQUEST_REUSED"
    NO_SUCH_JOB = "NO_SUCH_JOB"
    NO_SUCH_ROUND = "NO_SUCH_ROUND"
    NO_SUCH_VERSION = "NO_SUCH_VERSION"
    LIMIT_REACHED = "LIMIT_REACHED"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    """Somebody changed the job, or which version is active, meanwhile."""
    STALE_TERM = "STALE_TERM"
    """Another coordinator was heeded: stand down."""
    JOB_DISABLED = "JOB_DISABLED"
    ROUND_UNDER_WAY = "ROUND_UNDER_WAY"
    ROUND_EXISTS = "ROUND_EXISTS"
    ROUND_STAGE = "ROUND_STAGE"
    """The round is not at the stage that this needs."""
    TOO_FEW_CONTRIBUTORS = "TOO_FEW_CONTRIBUTORS"
    OPTED_OUT = "OPTED_OUT"
    ROSTER_DIFFERS = "ROSTER_DIFFERS"
    BASE_CLOSED = "BASE_CLOSED"
    """A sum over this base version was unmasked or may have been."""
    MOMENT = "MOMENT"
    """Tasks must not be read as of this moment."""
    BUDGET_SPENT = "BUDGET_SPENT"
    MODEL_KNOWN = "MODEL_KNOWN"
    """The same bytes are there under another number."""
    VERSION_STAGE = "VERSION_STAGE"
    """The version is not at the stage that this needs."""
    NOT_BETTER = "NOT_BETTER"
    """Nothing shows that it beats the baseline."""


@record(frozen=True, slots=True)
class LearningOutcome(Outcome):
    """The answer to one learning command; `subject` is the job, `current_version` that of what was changed."""

    reason: Reason = Reason.NONE


class Verb(IntEnum):
    """What happened. Numbers are written to disk."""

    JOB_DEFINED = 1
    JOB_ENABLED = 2
    JOB_DISABLED = 3
    OPTED_OUT = 4
    OPTED_IN = 5
    ROUND_OPENED = 6
    ROSTER_FIXED = 7
    INTENT_COMMITTED = 8
    ROUND_ABANDONED = 9
    VERSION_ADDED = 10
    VERSION_EVALUATED = 11
    VERSION_ACTIVATED = 12
    VERSION_ROLLED_BACK = 13
    """`version` is the one that is active now."""
    VERSION_RETIRED = 14


@record(frozen=True, slots=True)
class LearningEvent:
    """One change; exactly one belongs to a revision."""

    revision: int
    verb: Verb
    job: str
    """Empty for an opt-out of every job."""
    round_id: bytes
    version: int
    """0 where no version is concerned."""
    node: str
    """The coordinator, or who opted out."""
    note: str
    actor: str
    stamp: int
