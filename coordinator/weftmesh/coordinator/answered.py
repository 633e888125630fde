"""Rounds that cannot be because contributors had answered one on the same base version, which the log has forgotten.

A restored mesh does not know of the sums that followed its backup; its contributors remember which base versions they
helped to unmask, and refuse them for ever. That closes a base version as an intent does.
"""

from __future__ import annotations

from collections.abc import Collection

from weftmesh.coordinator.aggregated_round import RoundAbandonedError
from weftmesh.core.aggregation.outcomes import RefusalReason
from weftmesh.core.errors import PreconditionError
from weftmesh.core.learning.model import AbandonCause


class BaseAnsweredError(PreconditionError):
    """There will be no sum over this base version: too many contributors had answered on it before."""

    reason = "BASE_ANSWERED"


def cause_of(error: Exception, asked: Collection[str], floor: int) -> AbandonCause:
    """Why a round was given up.

    Args:
        error: that ended it.
        asked: its contributors.
        floor: the fewest vectors of a sum; if those who had not answered are as many, another round asks them alone.
    """
    if not isinstance(error, RoundAbandonedError):
        return AbandonCause.OTHER
    answered = [node for node, reason in error.refusals.items() if reason == RefusalReason.ALREADY_ANSWERED]
    few = len(asked) - len(answered) < floor
    return AbandonCause.ANSWERED_BEFORE if answered and few else AbandonCause.OTHER
