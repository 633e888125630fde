"""How a machine answers an event: effects for its process to carry out, or a refusal that changed nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

_Effect = TypeVar("_Effect", covariant=True)


class RefusalReason(StrEnum):
    """Why an event was not accepted; stable words for programs."""

    MALFORMED = "MALFORMED"
    """A size, a range or an order is wrong, or a name appears twice."""
    OUT_OF_STAGE = "OUT_OF_STAGE"
    """Too early, too late, or a second time."""
    WRONG_ROUND = "WRONG_ROUND"
    STALE_TERM = "STALE_TERM"
    """The sender led before somebody else did."""
    NOT_INVITED = "NOT_INVITED"
    LOW_THRESHOLD = "LOW_THRESHOLD"
    FEW_CONTRIBUTORS = "FEW_CONTRIBUTORS"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    BAD_KEY = "BAD_KEY"
    ROSTER_MISMATCH = "ROSTER_MISMATCH"
    """The two sides do not have the same signed keys in view."""
    SHARE_UNREADABLE = "SHARE_UNREADABLE"
    ALREADY_ANSWERED = "ALREADY_ANSWERED"
    """This base version was unmasked once; a second sum over it could be subtracted from the first."""
    INTENT_NOT_SHOWN = "INTENT_NOT_SHOWN"
    INTENT_MISMATCH = "INTENT_MISMATCH"
    MEMORY_FULL = "MEMORY_FULL"
    SIGNING_FAILED = "SIGNING_FAILED"


@dataclass(frozen=True, slots=True)
class Refused:
    """What was not accepted and what to do about it."""

    reason: RefusalReason
    message: str


class Refusal(Exception):  # noqa: N818 - not an error: it travels from a rule to `apply`, which answers with it
    """An event that a machine does not accept, and why."""

    def __init__(self, reason: RefusalReason, message: str) -> None:
        super().__init__(message)
        self.refused = Refused(reason, message)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[_Effect]):
    """The answer to one event: carry out the effects in their order.

    A refused event has none, but a deadline that had passed by then may have.
    """

    effects: tuple[_Effect, ...] = ()
    refused: Refused | None = None

    @property
    def accepted(self) -> bool:
        """Whether the event was taken."""
        return self.refused is None
