"""What comes of a command about roles: an outcome for whoever asked, and an event for everybody who follows."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from weftmesh.core.access.roles import Role
from weftmesh.core.board.outcomes import Outcome
from weftmesh.core.records import record


class Reason(StrEnum):
    """Why a command was refused, for programs. Words are written to disk."""

    NONE = ""
    INVALID_VALUE = "INVALID_VALUE"
    REQUEST_REUSED = "REQUEST_REUSED"
    NO_SUCH_BINDING = "NO_SUCH_BINDING"
    LAST_ADMIN = "LAST_ADMIN"
    """The mesh would be left without an admin."""
    ADMIN_FIRST = "ADMIN_FIRST"
    """The first role on the mesh has to be an admin's."""
    LIMIT_REACHED = "LIMIT_REACHED"


@record(frozen=True, slots=True)
class AccessOutcome(Outcome):
    """The answer to one command; `subject` is the one that the binding is of."""

    reason: Reason = Reason.NONE


class Verb(IntEnum):
    """What happened. Numbers are written to disk."""

    GRANTED = 1
    REVOKED = 2


@record(frozen=True, slots=True)
class AccessEvent:
    """One change of one binding."""

    revision: int
    verb: Verb
    project: str
    """Empty for the mesh."""
    subject: str
    role: Role
    """The role from now on; of a revocation, the one that was taken."""
    why: str
    actor: str
    stamp: int
