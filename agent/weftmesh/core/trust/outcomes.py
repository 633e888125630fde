"""What comes of a command about trust."""

from __future__ import annotations

from enum import StrEnum

from weftmesh.core.board.outcomes import Outcome, OutcomeKind
from weftmesh.core.records import record


class Reason(StrEnum):
    """Why a command was refused, for programs. Words are written to disk."""

    NONE = ""
    INVALID_VALUE = "INVALID_VALUE"
    REQUEST_REUSED = "REQUEST_REUSED"
    LIMIT_REACHED = "LIMIT_REACHED"
    ROTATION_UNDER_WAY = "ROTATION_UNDER_WAY"
    NO_ROTATION = "NO_ROTATION"
    OTHER_AUTHORITY = "OTHER_AUTHORITY"
    """The mesh has another issuing authority than the caller believes."""
    MEMBER_NOT_READY = "MEMBER_NOT_READY"
    QUORUM_AT_RISK = "QUORUM_AT_RISK"


@record(frozen=True, slots=True)
class TrustOutcome(Outcome):
    """The answer to one command; `subject` is the node, the serial, or the authority's sha256."""

    reason: Reason = Reason.NONE


class Refusal(Exception):  # noqa: N818 - not an error: it travels from a rule to `apply`, which answers with it
    """A command that the machine does not apply, and why."""

    def __init__(self, reason: Reason, message: str, kind: OutcomeKind = OutcomeKind.PRECONDITION) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.kind = kind
