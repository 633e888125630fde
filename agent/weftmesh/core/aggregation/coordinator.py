"""The coordinator's side of one round of secure aggregation, as a pure state machine.

    created -> advertising -> sharing -> masking -> committing -> unmasking -> done
                                                                            -> abandoned, from everywhere

A stage ends when everybody it waits for has answered or is lost, or at its deadline. Up to masked input the round goes
on while `terms.needed` contributors remain; at unmasking `terms.threshold` answers are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from weftmesh.core.aggregation.checking import check_round
from weftmesh.core.aggregation.coordinator_checks import check_answer, check_input, check_upload
from weftmesh.core.aggregation.diary import Diary
from weftmesh.core.aggregation.events import (
    CommitIntent,
    ContributorLost,
    CoordinatorEffect,
    CoordinatorEvent,
    CountVector,
    IntentRefused,
    IntentShown,
    Received,
    RoundEnded,
    Send,
    Start,
    TakeOff,
    TermShown,
    Tick,
)
from weftmesh.core.aggregation.messages import (
    ContributorMessage,
    CoordinatorMessage,
    Invitation,
    KeyAdvertisement,
    MaskedInput,
    RosterAnnouncement,
    SealedShares,
    ShareDelivery,
    ShareUpload,
    UnmaskIntent,
    UnmaskRequest,
    UnmaskShares,
)
from weftmesh.core.aggregation.outcomes import Outcome, Refusal, RefusalReason
from weftmesh.core.aggregation.recovery import recover_masks
from weftmesh.core.aggregation.roster import Verify, check_advertisements, check_distinct_keys, make_roster
from weftmesh.core.aggregation.round_state import RoundStage, RoundState
from weftmesh.core.aggregation.terms import RoundTerms, check_terms
from weftmesh.core.encoding import INTEGER_MAX
from weftmesh.core.errors import InvalidInputError

Effects = tuple[CoordinatorEffect, ...]
_STAGE_OF: Final[Mapping[type[ContributorMessage], RoundStage]] = {
    KeyAdvertisement: RoundStage.ADVERTISING,
    ShareUpload: RoundStage.SHARING,
    MaskedInput: RoundStage.MASKING,
    UnmaskShares: RoundStage.UNMASKING,
}


@dataclass(frozen=True, slots=True)
class StageTimeouts:
    """How long the coordinator waits for the slowest contributor; masking includes training."""

    advertising_s: float = 10.0
    sharing_s: float = 10.0
    masking_s: float = 300.0
    committing_s: float = 10.0
    unmasking_s: float = 10.0


class RoundCoordinator:
    """One round, from invitation to sum. Not safe for concurrent use.

    Args:
        terms: of the round, its id random.
        verify: checks the signature of a contributor by its certificate.
        timeouts: of the stages.

    Raises:
        InvalidInputError: no round may have such terms.
    """

    def __init__(self, terms: RoundTerms, *, verify: Verify, timeouts: StageTimeouts | None = None) -> None:
        try:
            check_terms(terms)
        except Refusal as refusal:
            raise InvalidInputError(f"a round of secure aggregation: {refusal}") from refusal
        self.terms = terms
        self._verify = verify
        self._timeouts = timeouts or StageTimeouts()
        self._state = RoundState()
        self._deadline_s: float | None = None
        self._diary = Diary()

    # Verbs

    def apply(self, event: CoordinatorEvent, now_s: float) -> Outcome[CoordinatorEffect]:
        """Takes one event; never raises, and changes nothing when it refuses."""
        expired: Effects = ()
        if self._deadline_s is not None and now_s >= self._deadline_s:
            expired = self._close_stage(now_s, "at the deadline")
        try:
            effects = self._decide(event, now_s)
        except Refusal as refusal:
            self._note(now_s, f"refused {type(event).__name__}: {refusal}")
            return Outcome(expired, refusal.refused)
        return Outcome(expired + effects)

    def next_deadline(self) -> float | None:
        """When to send a Tick at the latest, in the time of `now_s`; None before the start and after the end."""
        return self._deadline_s

    def check(self) -> None:
        """Asserts every invariant."""
        check_round(self._state, self.terms)
        waits = not (self.stage is RoundStage.CREATED or self.stage.is_over)
        assert (self._deadline_s is not None) == waits  # noqa: S101, this is what the verb is for

    def story(self, round_id: bytes) -> str:
        """What happened in this round."""
        return self._diary.story(round_id)

    @property
    def stage(self) -> RoundStage:
        """Where the round is."""
        return self._state.stage

    # Rules

    def _decide(self, event: CoordinatorEvent, now_s: float) -> Effects:
        if self.stage.is_over and not isinstance(event, Tick):
            raise Refusal(RefusalReason.OUT_OF_STAGE, f"this round is {self.stage}; start another one")
        match event:
            case Start():
                return self._start(now_s)
            case Received():
                return self._receive(event, now_s)
            case ContributorLost():
                return self._lose(event.name, now_s)
            case IntentShown():
                return self._see_intent(event.intent, now_s)
            case IntentRefused():
                self._expect(RoundStage.COMMITTING)
                return self._abandon(f"the intent was refused: {event.message}", now_s)
            case TermShown():
                return self._see_term(event.term, now_s)
            case Tick():
                return ()
            case _:
                raise Refusal(RefusalReason.MALFORMED, f"a coordinator does not know {type(event).__name__}")

    def _start(self, now_s: float) -> Effects:
        self._expect(RoundStage.CREATED)
        self._enter(RoundStage.ADVERTISING, self._timeouts.advertising_s, now_s)
        return _to_each(self.terms.contributors, lambda _name: Invitation(self.terms))

    def _receive(self, event: Received, now_s: float) -> Effects:
        sender, message, state = event.sender, event.message, self._state
        if not isinstance(message, ContributorMessage):
            raise Refusal(RefusalReason.MALFORMED, f"a coordinator does not know {type(message).__name__}")
        if message.round_id != self.terms.round_id:
            raise Refusal(RefusalReason.WRONG_ROUND, "the message belongs to another round")
        self._expect(_STAGE_OF[type(message)])
        if sender not in state.partakers(self.terms):
            raise Refusal(RefusalReason.NOT_INVITED, "the sender has no part in this stage")
        if sender not in state.awaited(self.terms):
            raise Refusal(RefusalReason.OUT_OF_STAGE, f"{sender} answered this stage before")
        effects = self._take(sender, message, now_s)
        return effects + self._close_stage_if_complete(now_s)

    def _take(self, sender: str, message: ContributorMessage, now_s: float) -> Effects:
        """Checks a message that may come now from this sender, and keeps it."""
        state = self._state
        match message:
            case KeyAdvertisement():
                if message.contributor != sender:
                    raise Refusal(RefusalReason.BAD_KEY, f"{sender} sent keys in the name of another")
                check_advertisements(self.terms, (message,), self._verify)
                check_distinct_keys((*state.keys.values(), message))
                state.keys[sender] = message
            case ShareUpload():
                check_upload(state.the_roster, sender, message)
                state.uploads[sender] = {one.peer: one.sealed for one in message.shares}
            case MaskedInput():
                check_input(state.the_roster, message)
                state.inputs.add(sender)
                return (CountVector(sender),)
            case UnmaskShares():
                check_answer(state.the_intent.active, state.dead_sharers, message)
                state.answers[sender] = message
                return self._try_to_finish(now_s)
        return ()

    def _lose(self, name: str, now_s: float) -> Effects:
        if name not in self.terms.contributors:
            raise Refusal(RefusalReason.NOT_INVITED, "the lost one is no contributor of this round")
        self._expect(RoundStage.ADVERTISING, RoundStage.SHARING, RoundStage.MASKING, RoundStage.UNMASKING)
        self._state.lost.add(name)
        self._note(now_s, f"{name} is lost")
        return self._close_stage_if_complete(now_s)

    def _see_intent(self, intent: UnmaskIntent, now_s: float) -> Effects:
        if (intent.job, intent.base_version) != (self.terms.job, self.terms.base_version):
            raise Refusal(RefusalReason.WRONG_ROUND, "the intent is about another base version")
        if intent != self._state.intent:
            return self._abandon("another intent was committed for its base version", now_s)
        self._expect(RoundStage.COMMITTING)
        self._enter(RoundStage.UNMASKING, self._timeouts.unmasking_s, now_s)
        return _to_each(intent.active, lambda _name: UnmaskRequest(intent))

    def _see_term(self, term: int, now_s: float) -> Effects:
        if not 0 <= term <= INTEGER_MAX:
            raise Refusal(RefusalReason.MALFORMED, f"a term is 0 to {INTEGER_MAX}")
        return self._abandon(f"term {term} began", now_s) if term > self.terms.term else ()

    # Stages

    def _close_stage_if_complete(self, now_s: float) -> Effects:
        if self.stage.is_over or any(name not in self._state.lost for name in self._state.awaited(self.terms)):
            return ()
        return self._close_stage(now_s, "with all answers that can come")

    def _close_stage(self, now_s: float, when: str) -> Effects:
        missing = sorted(self._state.awaited(self.terms))
        self._note(now_s, f"{self.stage} ended {when}; missing: {', '.join(missing) or 'nobody'}")
        match self.stage:
            case RoundStage.ADVERTISING:
                return self._announce_roster(now_s)
            case RoundStage.SHARING:
                return self._deliver_shares(now_s)
            case RoundStage.MASKING:
                return self._propose_intent(now_s)
            case RoundStage.COMMITTING:
                return self._abandon("the intent was not committed in time", now_s)
        return self._abandon(
            f"{len(self._state.answers)} answers do not unmask the sum; {self.terms.threshold} right ones are needed",
            now_s,
        )

    def _announce_roster(self, now_s: float) -> Effects:
        try:
            self._state.roster = make_roster(
                self.terms, tuple(self._state.keys[name] for name in sorted(self._state.keys))
            )
        except Refusal as refusal:
            return self._abandon(str(refusal), now_s)
        announcement = RosterAnnouncement(self.terms.round_id, self.terms.term, self._state.roster.entries)
        self._enter(RoundStage.SHARING, self._timeouts.sharing_s, now_s)
        return _to_each(self._state.roster.names, lambda _name: announcement)

    def _deliver_shares(self, now_s: float) -> Effects:
        senders = sorted(self._state.uploads)
        if len(senders) < self.terms.needed:
            return self._abandon(f"{len(senders)} contributors shared secrets; {self.terms.needed} are needed", now_s)
        terms, roster_hash = self.terms, self._state.the_roster.hash

        def delivery(name: str) -> ShareDelivery:
            shares = tuple(SealedShares(one, self._state.uploads[one][name]) for one in senders if one != name)
            return ShareDelivery(terms.round_id, terms.term, roster_hash, shares)

        self._enter(RoundStage.MASKING, self._timeouts.masking_s, now_s)
        return _to_each(senders, delivery)

    def _propose_intent(self, now_s: float) -> Effects:
        active, dead = sorted(self._state.inputs), sorted(set(self._state.keys) - self._state.inputs)
        if len(active) < self.terms.needed:
            return self._abandon(f"{len(active)} masked vectors came; {self.terms.needed} are needed", now_s)
        terms, roster_hash = self.terms, self._state.the_roster.hash
        self._state.intent = UnmaskIntent(
            terms.job, terms.base_version, terms.round_id, roster_hash, tuple(active), tuple(dead), terms.term
        )
        self._enter(RoundStage.COMMITTING, self._timeouts.committing_s, now_s)
        return (CommitIntent(self._state.intent),)

    def _try_to_finish(self, now_s: float) -> Effects:
        state, active = self._state, self._state.the_intent.active
        masks = recover_masks(state.the_roster, active, state.dead_sharers, state.answers)
        if masks is None:
            return ()
        self._note(now_s, f"done: a sum of {len(active)} vectors")
        self._clear(RoundStage.DONE)
        return (TakeOff(masks, active), RoundEnded(self.terms.round_id))

    def _abandon(self, reason: str, now_s: float) -> Effects:
        self._note(now_s, f"abandoned: {reason}")
        self._clear(RoundStage.ABANDONED)
        return (RoundEnded(self.terms.round_id, reason),)

    # Helpers

    def _expect(self, *stages: RoundStage) -> None:
        if self.stage not in stages:
            raise Refusal(RefusalReason.OUT_OF_STAGE, f"the round is {self.stage}; this belongs to {stages[0]}")

    def _enter(self, stage: RoundStage, timeout_s: float, now_s: float) -> None:
        self._state.stage, self._deadline_s = stage, now_s + timeout_s
        self._state.lost.clear()
        self._note(now_s, f"{stage} until {self._deadline_s:.3f} s")

    def _clear(self, stage: RoundStage) -> None:
        self._state, self._deadline_s = RoundState(stage), None

    def _note(self, now_s: float, line: str) -> None:
        self._diary.note(self.terms.round_id, now_s, line)


def _to_each(names: Collection[str], message: Callable[[str], CoordinatorMessage]) -> Effects:
    return tuple(Send(name, message(name)) for name in names)
