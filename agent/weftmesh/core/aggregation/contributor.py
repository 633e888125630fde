"""A contributor's side of secure aggregation, as a pure state machine: one round at a time, any number in a row.

    idle -> Advertised -> Shared -> Masked -> idle

A new invitation, a newer term or the deadline leads back to idle from everywhere, and takes the secrets along. What is
refused changes nothing: the round goes on when the right message comes.
"""

from __future__ import annotations

import random
from dataclasses import replace

from weftmesh.core.aggregation import contributor_stages as stages
from weftmesh.core.aggregation.checking import check_stage
from weftmesh.core.aggregation.contributor_stages import Advertised, Masked, Shared, Sign
from weftmesh.core.aggregation.diary import Diary
from weftmesh.core.aggregation.events import (
    ContributorEffect,
    ContributorEvent,
    IntentShown,
    MaskVector,
    Remember,
    Reply,
    RoundEnded,
    TermShown,
    Tick,
)
from weftmesh.core.aggregation.memory import ContributorMemory
from weftmesh.core.aggregation.messages import (
    Invitation,
    MaskedInput,
    RosterAnnouncement,
    ShareDelivery,
    UnmaskIntent,
    UnmaskRequest,
)
from weftmesh.core.aggregation.outcomes import Outcome, Refusal, RefusalReason
from weftmesh.core.aggregation.roster import Verify
from weftmesh.core.aggregation.terms import ContributorPolicy, RoundTerms, check_base, check_policy, check_terms
from weftmesh.core.encoding import INTEGER_MAX

Effects = tuple[ContributorEffect, ...]


class Contributor:
    """One node's part in the rounds of one process. Not safe for concurrent use.

    Args:
        name: this node.
        sign: signs with the key of this node's certificate; may raise a WeftmeshError.
        verify: checks the signature of another node by its certificate.
        rng: `secrets.SystemRandom()` in production.
        policy: what this contributor insists on.
        memory: what the last `Remember` of this node said.
    """

    def __init__(
        self,
        name: str,
        *,
        sign: Sign,
        verify: Verify,
        rng: random.Random,
        policy: ContributorPolicy | None = None,
        memory: ContributorMemory | None = None,
    ) -> None:
        self.name = name
        self._sign = sign
        self._verify = verify
        self._rng = rng
        self._policy = policy or ContributorPolicy()
        self._memory = memory or ContributorMemory()
        self._stage: stages.Stage | None = None
        self._deadline_s = 0.0
        self._diary = Diary()

    # Verbs

    def apply(self, event: ContributorEvent, now_s: float) -> Outcome[ContributorEffect]:
        """Takes one event; never raises, and changes nothing when it refuses."""
        expired = self._expire(now_s)
        try:
            effects = self._decide(event, now_s)
        except Refusal as refusal:
            if self._stage is not None:
                self._note(now_s, f"refused {type(event).__name__}: {refusal}")
            return Outcome(expired, refusal.refused)
        return Outcome(expired + effects)

    def next_deadline(self) -> float | None:
        """When to send a Tick at the latest, in the time of `now_s`; None while no round is open."""
        return None if self._stage is None else self._deadline_s

    def check(self) -> None:
        """Asserts every invariant."""
        if self._stage is not None:
            check_stage(self._stage, self.name, self._policy, self._memory)

    def story(self, round_id: bytes) -> str:
        """What this contributor did in a round."""
        return self._diary.story(round_id)

    # What others ask

    @property
    def memory(self) -> ContributorMemory:
        """What the next process of this node has to know."""
        return self._memory

    @property
    def round_id(self) -> bytes | None:
        """The round that is open here."""
        return None if self._stage is None else self._stage.terms.round_id

    @property
    def terms(self) -> RoundTerms | None:
        """Those of the round that is open here, as they were joined."""
        return None if self._stage is None else self._stage.terms

    # Rules

    def _decide(self, event: ContributorEvent, now_s: float) -> Effects:
        match event:
            case Invitation():
                return self._join(event, now_s)
            case RosterAnnouncement():
                return self._share(event, now_s)
            case ShareDelivery():
                return self._mask(event, now_s)
            case IntentShown():
                return self._see_intent(event.intent, now_s)
            case UnmaskRequest():
                return self._answer(event.intent, now_s)
            case TermShown():
                return self._see_term(event.term, now_s)
            case Tick():
                return ()
            case _:
                raise Refusal(RefusalReason.MALFORMED, f"a contributor does not know {type(event).__name__}")

    def _join(self, invitation: Invitation, now_s: float) -> Effects:
        terms = invitation.terms
        check_terms(terms)
        self._check_term(terms.term)
        if terms.round_id == self.round_id:
            raise Refusal(RefusalReason.OUT_OF_STAGE, "the keys of this round are advertised already")
        check_policy(terms, self._policy, self.name)
        self._check_unanswered(terms.job, terms.base_version)
        self._memory.check_room(terms.job)
        stage = stages.advertise(terms, self.name, self._sign, self._rng)
        ended = self._end("another round began", now_s)
        self._memory = replace(self._memory, term=terms.term)
        self._stage, self._deadline_s = stage, now_s + self._policy.round_timeout_s
        self._note(now_s, f"joined {terms.job} from version {terms.base_version}, term {terms.term}: keys advertised")
        return (*ended, Reply(stage.advertisement))

    def _share(self, announcement: RosterAnnouncement, now_s: float) -> Effects:
        stage = self._current(announcement.round_id, announcement.term)
        if not isinstance(stage, Advertised):
            raise Refusal(RefusalReason.OUT_OF_STAGE, "the roster of this round came before")
        self._stage, upload = stages.share(stage, announcement, self._verify, self._rng)
        self._note(now_s, f"shares sealed for {len(upload.shares)} peers of roster {upload.roster_hash.hex()}")
        return (Reply(upload),)

    def _mask(self, delivery: ShareDelivery, now_s: float) -> Effects:
        stage = self._current(delivery.round_id, delivery.term)
        if not isinstance(stage, Shared):
            raise Refusal(RefusalReason.OUT_OF_STAGE, "masks are handed out once, after keys and shares are exchanged")
        self._stage, masks = stages.open_shares(stage, self.name, delivery)
        self._note(now_s, f"{len(masks)} masks handed out")
        terms = stage.terms
        return (MaskVector(masks, MaskedInput(terms.round_id, stage.roster.hash, terms.vector_length)),)

    def _see_intent(self, intent: UnmaskIntent, now_s: float) -> Effects:
        if intent.round_id != self.round_id or self.name in intent.dead:
            return self._close(intent, now_s)
        stage = self._current(intent.round_id, intent.term)
        if not isinstance(stage, Masked):
            raise Refusal(RefusalReason.OUT_OF_STAGE, "an intent to unmask a vector that was not masked yet")
        if stage.intent not in (None, intent):
            raise Refusal(RefusalReason.INTENT_MISMATCH, "another intent was shown for this base version before")
        stages.check_intent(stage, self.name, intent)
        self._stage = replace(stage, intent=intent)
        self._note(now_s, f"intent shown: {len(intent.active)} active, {len(intent.dead)} dead")
        return ()

    def _close(self, intent: UnmaskIntent, now_s: float) -> Effects:
        """The mesh has settled on a sum over this base version without this contributor: there must be no other."""
        check_base(intent.job, intent.base_version)
        if self._memory.has_answered(intent.job, intent.base_version):
            return ()
        self._memory.check_room(intent.job)
        self._memory = self._memory.answering(intent.job, intent.base_version)
        terms = None if self._stage is None else self._stage.terms
        same = terms is not None and (terms.job, terms.base_version) == (intent.job, intent.base_version)
        ended = self._end("the mesh settled on a sum without this contributor", now_s) if same else ()
        return (Remember(self._memory), *ended)

    def _answer(self, intent: UnmaskIntent, now_s: float) -> Effects:
        self._check_term(intent.term)
        self._check_unanswered(intent.job, intent.base_version)
        stage = self._current(intent.round_id, intent.term)
        if not isinstance(stage, Masked):
            raise Refusal(RefusalReason.OUT_OF_STAGE, "there is nothing to unmask before the vector was masked")
        stages.check_intent(stage, self.name, intent)
        if stage.intent is None:
            raise Refusal(
                RefusalReason.INTENT_NOT_SHOWN, "this node's replica does not hold the intent yet; ask again shortly"
            )
        if intent != stage.intent:
            raise Refusal(RefusalReason.INTENT_MISMATCH, "the request differs from the intent in this node's replica")
        answer = stages.unmask(stage, intent)
        self._memory = self._memory.answering(intent.job, intent.base_version)
        self._note(now_s, "answered")
        self._stage = None
        return (Remember(self._memory), Reply(answer), RoundEnded(intent.round_id))

    def _see_term(self, term: int, now_s: float) -> Effects:
        self._check_term(term)
        if term == self._memory.term:
            return ()
        ended = self._end(f"term {term} began", now_s)
        self._memory = replace(self._memory, term=term)
        return ended

    # Helpers

    def _current(self, round_id: bytes, term: int) -> stages.Stage:
        self._check_term(term)
        stage = self._stage
        if stage is None or (round_id, term) != (stage.terms.round_id, stage.terms.term):
            raise Refusal(RefusalReason.WRONG_ROUND, f"{self.name} is not in this round; invite it to a new one")
        return stage

    def _check_term(self, term: int) -> None:
        if not 0 <= term <= INTEGER_MAX:
            raise Refusal(RefusalReason.MALFORMED, f"a term is 0 to {INTEGER_MAX}")
        if term < self._memory.term:
            raise Refusal(RefusalReason.STALE_TERM, f"term {term} is over: {self._memory.term} was seen")

    def _check_unanswered(self, job: str, base_version: int) -> None:
        if self._memory.has_answered(job, base_version):
            raise Refusal(
                RefusalReason.ALREADY_ANSWERED,
                f"{self.name} helped to unmask a round of {job} on version {base_version}; go on from a newer version",
            )

    def _expire(self, now_s: float) -> Effects:
        return self._end("its time was over", now_s) if self._stage is not None and now_s >= self._deadline_s else ()

    def _end(self, reason: str, now_s: float) -> Effects:
        stage = self._stage
        if stage is None:
            return ()
        self._note(now_s, f"ended: {reason}")
        self._stage = None
        return (RoundEnded(stage.terms.round_id, reason),)

    def _note(self, now_s: float, line: str) -> None:
        if self._stage is not None:
            self._diary.note(self._stage.terms.round_id, now_s, line)
