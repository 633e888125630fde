"""A learner's part in secure aggregation: the machine of the core decides, this trains, masks and answers."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import numpy as np
import structlog

from weftmesh.core.aggregation.contributor import Contributor
from weftmesh.core.aggregation.events import ContributorEvent, IntentShown, MaskVector, Remember, Reply
from weftmesh.core.aggregation.keys import bound_to_work
from weftmesh.core.aggregation.memory import ContributorMemory
from weftmesh.core.aggregation.messages import Invitation, MaskedInput, RosterAnnouncement, UnmaskIntent, UnmaskRequest
from weftmesh.core.errors import InvalidInputError, PreconditionError, WeftmeshError
from weftmesh.learner.app import reply_to
from weftmesh.learner.faults import without_paths
from weftmesh.runtime import flower
from weftmesh.runtime.flower import ClientApp, Message, MessageType
from weftmesh.runtime.masking import ContributionLayout, Words, apply_masks, words_to_bytes
from weftmesh.runtime.training_messages import read_evaluation, read_update, work_sha256
from weftmesh.runtime.wire.envelopes import Contribution, FlowerMessage, LearnerRefusal, Letter, Work, seal, unseal

Noising = Callable[[Words], Words]
"""Shortens a vector and adds this node's noise to it."""
ShownIntent = Callable[[UnmaskIntent], UnmaskIntent | None]
"""Asks this node's own replica for the intent of a round, and waits a bounded time for it; None when it has none."""

log = structlog.get_logger("weftmesh.learner")


class ContributingLearner:
    """Answers the envelopes of coordinators, on a worker thread, one at a time.

    Nothing of one node leaves it in the clear: what is asked outside of secure aggregation is refused.

    Args:
        contributor: this node's machine.
        app: trains and evaluates, see weftmesh.learner.app.
        shown_intent: this node's own replica, never what a coordinator says.
        remember: makes the contributor's memory durable before it returns.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        contributor: Contributor,
        app: ClientApp,
        shown_intent: ShownIntent,
        remember: Callable[[ContributorMemory], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._contributor = contributor
        self._app = app
        self._shown_intent = shown_intent
        self._remember = remember
        self._clock = clock

    def answer(self, payload: bytes, noising: Noising | None = None) -> bytes:
        """Answer one envelope, with a refusal where there is nothing better. Does not raise for bad input.

        Args:
            payload: an envelope.
            noising: what the job's noise policy does to a vector, in this node's own replica; None for a job without.
        """
        try:
            return seal(self._answer(unseal(payload), noising))
        except WeftmeshError as error:
            log.warning("a question is refused", why=str(error), reason=error.reason)
            return seal(_refusal(error.reason, str(error)))

    def _answer(self, letter: Letter, noising: Noising | None) -> Letter:
        match letter:
            case Invitation() | RosterAnnouncement():
                return self._apply(letter)
            case Work():
                return self._work(letter, noising)
            case UnmaskRequest():
                if (intent := self._shown_intent(letter.intent)) is not None:
                    self._tell(IntentShown(intent))
                return self._apply(letter)
            case FlowerMessage():
                raise PreconditionError(
                    "this learner answers only within secure aggregation", reason="PLAIN_TRAINING_REFUSED"
                )
            case _:
                raise InvalidInputError(f"a learner is not asked {type(letter).__name__}")

    def _apply(self, event: Invitation | RosterAnnouncement | UnmaskRequest) -> Letter:
        outcome = self._contributor.apply(event, self._clock())
        for effect in outcome.effects:
            if isinstance(effect, Remember):
                self._remember(effect.memory)
        if outcome.refused is not None:
            return _refusal(outcome.refused.reason, outcome.refused.message)
        replies = [effect.message for effect in outcome.effects if isinstance(effect, Reply)]
        if len(replies) != 1 or isinstance(replies[0], MaskedInput):
            raise InvalidInputError(f"there is no answer to {type(event).__name__} now")
        return replies[0]

    def _tell(self, event: ContributorEvent) -> None:
        """Apply what needs no answer; a refusal of it shows in the answer to what follows."""
        for effect in self._contributor.apply(event, self._clock()).effects:
            if isinstance(effect, Remember):
                self._remember(effect.memory)

    def _work(self, work: Work, noising: Noising | None) -> Letter:
        outcome = self._contributor.apply(work.delivery, self._clock())
        if outcome.refused is not None:
            return _refusal(outcome.refused.reason, outcome.refused.message)
        task = next((effect for effect in outcome.effects if isinstance(effect, MaskVector)), None)
        if task is None:
            raise InvalidInputError("there are no masks for this round")
        message = flower.from_bytes(work.flower_message)
        told = work_sha256(message, work.metrics)
        words = self._contribution(message, work.metrics, task.announcement.length)
        if noising is not None:
            words = noising(words)
        masked = apply_masks(words, [bound_to_work(mask, told) for mask in task.masks])
        return Contribution(task.announcement, words_to_bytes(masked))

    def _contribution(self, message: Message, wanted: tuple[str, ...], length: int) -> Words:
        """What this node adds to the sum, not masked yet."""
        reply = reply_to(self._app, message)
        if reply.has_error():
            raise PreconditionError("this node has nothing to add to the round", reason=reply.error.reason or "FAILED")
        layout = ContributionLayout(length - 1 - len(wanted), wanted)
        change, weight, metrics = np.zeros(0), 0.0, {}
        if reply.metadata.message_type == MessageType.TRAIN:
            update = read_update(reply)
            change, weight, metrics = update.change.astype(np.float64), update.weight, dict(update.metrics)
        else:
            evaluation = read_evaluation(reply)
            weight, metrics = evaluation.weight, dict(evaluation.metrics)
        asked = {name: metrics[name] for name in wanted if name in metrics}
        return layout.pack(change, weight, asked)


def _refusal(reason: str, message: str) -> LearnerRefusal:
    # The message may quote what the node's client said, and that the socket's path.
    return LearnerRefusal(reason, without_paths(message))
