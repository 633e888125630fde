"""Carries out one round of secure aggregation: the machine of the core decides, this asks, commits and adds up."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import structlog

from weftmesh.coordinator.courier import Answer, Courier, NoAnswerError, letter_of
from weftmesh.coordinator.signatures import Signatures
from weftmesh.core.aggregation.coordinator import RoundCoordinator, StageTimeouts
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
    Tick,
)
from weftmesh.core.aggregation.keys import bound_to_work
from weftmesh.core.aggregation.messages import (
    ContributorMessage,
    CoordinatorMessage,
    KeyAdvertisement,
    ShareDelivery,
    ShareUpload,
    UnmaskIntent,
    UnmaskShares,
)
from weftmesh.core.aggregation.roster import Verify
from weftmesh.core.aggregation.terms import RoundTerms
from weftmesh.core.errors import PreconditionError, WeftmeshError
from weftmesh.runtime import flower
from weftmesh.runtime.masking import WORD_BYTES, MaskedSum, Reals
from weftmesh.runtime.training_messages import work_sha256
from weftmesh.runtime.wire.envelopes import Contribution, Letter, Work

log = structlog.get_logger("weftmesh.coordinator.round")


class RoundAbandonedError(PreconditionError):
    """A round of secure aggregation ended without a sum; nothing was learned by it, and another one may be started.

    Attributes:
        missing: why there is no answer of a node.
        refusals: reasons of the nodes whose learners refused.
    """

    reason = "ROUND_ABANDONED"

    def __init__(
        self, message: str, missing: Mapping[str, str] | None = None, refusals: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.missing = dict(missing or {})
        self.refusals = dict(refusals or {})


class RoundLog(Protocol):
    """What the replicated log has to say about rounds of secure aggregation. Called on a worker thread; may block."""

    def open(self, kind: str, contributors: tuple[str, ...], vector_length: int) -> RoundTerms:
        """Open a round: one sum over vectors of `vector_length` words.

        Args:
            kind: "train" or "evaluate".
            contributors: who is to be invited, sorted.
            vector_length: words of each vector.

        Raises:
            WeftmeshError: the replicated state does not allow one now.
        """

    def commit(self, intent: UnmaskIntent) -> None:
        """Return once the intent is committed and this node's own replica shows it.

        Raises:
            WeftmeshError: it was refused, or not committed in time.
        """


@dataclass(frozen=True, slots=True)
class Sum:
    """The outcome of a round.

    Attributes:
        total: float64 of shape (vector_length,): the sum of the vectors.
        contributors: whose vectors are in it, sorted.
        missing: why there is no answer of a node.
    """

    total: Reals
    contributors: tuple[str, ...]
    missing: Mapping[str, str]


class AggregatedRound:
    """One round; make a new one for the next.

    Args:
        terms: what `rounds.open` returned.
        courier: the way to the contributors.
        rounds: where the intent is committed.
        verify: checks the signature of a contributor by its certificate; may block.
        work: for each contributor, what to do before its vector is masked: bytes of a Flower message. All have the same
            type, model and settings.
        metrics: names of the metrics in the vector.
        timeouts: of the stages.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        terms: RoundTerms,
        courier: Courier,
        rounds: RoundLog,
        verify: Verify,
        work: Mapping[str, bytes],
        metrics: tuple[str, ...],
        timeouts: StageTimeouts | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._terms = terms
        self._courier = courier
        self._rounds = rounds
        self._work = work
        self._metrics = metrics
        self._clock = clock
        self._signatures = Signatures(terms, verify)
        self._machine = RoundCoordinator(terms, verify=self._signatures.verify, timeouts=timeouts)
        self._sum = MaskedSum(terms.vector_length)
        self._asked: dict[Answer, str] = {}
        self._missing: dict[str, str] = {}
        self._refusals: dict[str, str] = {}
        self._result: Sum | None = None
        self._ended: str | None = None

    def run(self) -> Sum:
        """Do all of it; blocks until the round is over.

        Raises:
            RoundAbandonedError: there is no sum; the message says why, and who gave no answer.
            LeadershipLostError: another node leads now.
        """
        try:
            self._apply(Start())
            while self._ended is None:
                self._wait()
        finally:
            self._forget_questions()
            log.debug("round of secure aggregation", story=self._machine.story(self._terms.round_id))
        if self._result is None:
            told = "; ".join(f"{node}: {why}" for node, why in sorted(self._missing.items()))
            raise RoundAbandonedError(
                f"the round was abandoned: {self._ended}{f' ({told})' if told else ''}", self._missing, self._refusals
            )
        return self._result

    def _wait(self) -> None:
        deadline_s = self._machine.next_deadline() or self._clock()
        if not self._asked:
            # Nobody is left who could answer: the rest of the stage's time changes nothing.
            self._apply(Tick(), deadline_s)
            return
        patience_s = max(deadline_s - self._clock(), 0.0)
        done, _ = concurrent.futures.wait(self._asked, patience_s, concurrent.futures.FIRST_COMPLETED)
        self._signatures.expect([key for answer in done if (key := self._advertised(answer)) is not None])
        for answer in done:
            # An answer before it may have ended the stage, and with it the questions of that stage, or the round.
            if self._ended is None and (node := self._asked.pop(answer, None)) is not None:
                self._take(node, answer)
        if not done:
            self._apply(Tick())

    def _take(self, node: str, answer: Answer) -> None:
        try:
            message, vector = self._read(letter_of(answer))
        except NoAnswerError as error:
            if error.refusal:
                self._refusals[node] = error.refusal
            self._lose(node, str(error))
            return
        stage = self._machine.stage
        outcome = self._machine.apply(Received(node, message), self._clock())
        if outcome.refused is not None:
            self._carry_out(outcome.effects)
            late = self._machine.stage is not stage
            why = (
                f"it answered when {stage} was over" if late else f"{outcome.refused.reason}: {outcome.refused.message}"
            )
            self._lose(node, why)
            return
        if any(isinstance(effect, CountVector) for effect in outcome.effects):
            self._sum.add(vector)
        self._carry_out(outcome.effects)

    def _read(self, letter: Letter) -> tuple[ContributorMessage, bytes]:
        match letter:
            case KeyAdvertisement() | ShareUpload() | UnmaskShares():
                return letter, b""
            case Contribution():
                if len(letter.vector) != self._terms.vector_length * WORD_BYTES:
                    raise NoAnswerError(f"it sent a vector of {len(letter.vector)} bytes")
                return letter.announcement, letter.vector
            case _:
                raise NoAnswerError(f"it answered with {type(letter).__name__}")

    def _lose(self, node: str, why: str) -> None:
        self._missing[node] = why
        log.info("no answer of a contributor", node=node, why=why)
        if self._ended is None:
            self._apply(ContributorLost(node))

    def _apply(self, event: CoordinatorEvent, now_s: float | None = None) -> None:
        outcome = self._machine.apply(event, self._clock() if now_s is None else now_s)
        self._carry_out(outcome.effects)

    def _carry_out(self, effects: tuple[CoordinatorEffect, ...]) -> None:
        sends = [effect for effect in effects if isinstance(effect, Send)]
        if sends:
            self._ask(sends)
        for effect in effects:
            match effect:
                case CommitIntent():
                    self._commit(effect.intent)
                case TakeOff():
                    self._result = Sum(self._unmasked(effect), effect.contributors, dict(self._missing))
                case RoundEnded():
                    self._ended = effect.reason

    def _unmasked(self, effect: TakeOff) -> Reals:
        # All were told the same: the sum of nodes that were not is noise.
        message = flower.from_bytes(self._work[effect.contributors[0]])
        told = work_sha256(message, self._metrics)
        return self._sum.unmasked(bound_to_work(mask, told) for mask in effect.masks)

    def _ask(self, sends: list[Send]) -> None:
        self._courier.require_leading()
        self._forget_questions()
        timeout_s = (self._machine.next_deadline() or 0.0) - self._clock()
        for send in sends:
            payload = self._courier.seal(self._letter(send.receiver, send.message))
            self._asked[self._courier.ask(send.receiver, payload, timeout_s)] = send.receiver

    def _letter(self, receiver: str, message: CoordinatorMessage) -> Letter:
        if isinstance(message, ShareDelivery):
            return Work(message, self._work[receiver], self._metrics)
        return message

    def _commit(self, intent: UnmaskIntent) -> None:
        try:
            self._rounds.commit(intent)
        except WeftmeshError as error:
            self._apply(IntentRefused(f"{error.reason}: {error}"))
        else:
            self._apply(IntentShown(intent))

    def _forget_questions(self) -> None:
        for answer in self._asked:
            answer.cancel()
        self._asked.clear()

    def _advertised(self, answer: Answer) -> KeyAdvertisement | None:
        """The keys in an answer; none in the name of another node, whose certificate nobody shall be made to fetch."""
        if answer.cancelled() or answer.exception() is not None:
            return None
        letter = answer.result()
        if isinstance(letter, KeyAdvertisement) and letter.contributor == self._asked.get(answer):
            return letter
        return None
