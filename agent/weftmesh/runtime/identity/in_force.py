"""Whether a certificate that was made just now is in force here: if not, one of two clocks is wrong."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from weftmesh.core.errors import PreconditionError

CLOCK_DISAGREES: Final = "CLOCK_DISAGREES"


def check_in_force(what: str, not_before: datetime, not_after: datetime, now: datetime) -> None:
    """Refuse a fresh certificate that is not in force by this clock.

    Args:
        what: it is, to begin a sentence with.
        not_before: when it begins.
        not_after: when it ends.
        now: of this clock.

    Raises:
        PreconditionError: CLOCK_DISAGREES.
    """
    if not_before <= now < not_after:
        return
    early = now < not_before
    found = f"begins in {days(not_before - now)}" if early else f"ended {days(now - not_after)} ago"
    raise PreconditionError(
        f"{what} {found}, by this node's clock ({now:%Y-%m-%d %H:%M} UTC): the clock of the node with the authority is "
        "wrong, or this one. Correct it, `weftmesh doctor` compares all of them, and try again",
        reason=CLOCK_DISAGREES,
    )


def days(duration: timedelta) -> str:
    """A duration for people."""
    return f"{duration / timedelta(days=1):.1f} days"
