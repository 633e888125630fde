"""What a coordinator knows of a round in progress: who has got how far."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

from weftmesh.core.aggregation.messages import KeyAdvertisement, UnmaskIntent, UnmaskShares
from weftmesh.core.aggregation.roster import Roster
from weftmesh.core.aggregation.terms import RoundTerms


class RoundStage(StrEnum):
    """Where a round is; named after what the coordinator waits for."""

    CREATED = "created"
    ADVERTISING = "advertising"
    SHARING = "sharing"
    MASKING = "masking"
    COMMITTING = "committing"
    UNMASKING = "unmasking"
    DONE = "done"
    ABANDONED = "abandoned"

    @property
    def is_over(self) -> bool:
        """Whether nothing can follow."""
        return self in (RoundStage.DONE, RoundStage.ABANDONED)


@dataclass(slots=True)
class RoundState:
    """Grows from stage to stage; empty again when the round is over.

    Attributes:
        stage: where the round is.
        keys: advertisements by contributor.
        roster: from sharing on.
        uploads: sealed shares by sender and receiver.
        inputs: whose masked vectors came.
        intent: from committing on.
        answers: unmask shares by contributor.
        lost: whom the present stage does not wait for.
    """

    stage: RoundStage = RoundStage.CREATED
    keys: dict[str, KeyAdvertisement] = field(default_factory=dict)
    roster: Roster | None = None
    uploads: dict[str, dict[str, bytes]] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)
    intent: UnmaskIntent | None = None
    answers: dict[str, UnmaskShares] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    @property
    def the_roster(self) -> Roster:
        """The roster, at a stage that has one."""
        assert self.roster is not None, "there is a roster from sharing on"  # noqa: S101, stages are entered in order
        return self.roster

    @property
    def the_intent(self) -> UnmaskIntent:
        """The intent, at a stage that has one."""
        assert self.intent is not None, "there is an intent from committing on"  # noqa: S101, stages are entered in order
        return self.intent

    @property
    def dead_sharers(self) -> tuple[str, ...]:
        """Whose masks for others are still in the sum, at a stage that has an intent."""
        return tuple(name for name in self.the_intent.dead if name in self.uploads)

    def partakers(self, terms: RoundTerms) -> Collection[str]:
        """Who has a part in the present stage."""
        match self.stage:
            case RoundStage.ADVERTISING:
                return terms.contributors
            case RoundStage.SHARING:
                return self.keys
            case RoundStage.MASKING:
                return self.uploads
            case RoundStage.UNMASKING:
                return self.inputs
        return ()

    def awaited(self, terms: RoundTerms) -> set[str]:
        """Who has a part in the present stage and has not answered."""
        answered: Collection[str] = ()
        match self.stage:
            case RoundStage.ADVERTISING:
                answered = self.keys
            case RoundStage.SHARING:
                answered = self.uploads
            case RoundStage.MASKING:
                answered = self.inputs
            case RoundStage.UNMASKING:
                answered = self.answers
        return set(self.partakers(terms)) - set(answered)
