"""This node's part in secure aggregation: the core's contributor, shown what the node's own replica says and no more.

The node hands on questions of the coordinator that leads by its own replica, and of jobs in which its owner takes part.
Before a round is joined and before anything is trained, it is asked again, and for what the round was opened. What a
coordinator claims of any of it is not believed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final

from weftmesh.core.aggregation.contributor import Contributor
from weftmesh.core.aggregation.events import IntentShown, Remember, TermShown
from weftmesh.core.aggregation.messages import Invitation, UnmaskIntent
from weftmesh.core.aggregation.terms import RoundTerms
from weftmesh.core.errors import ForbiddenError, InvalidInputError, PreconditionError, WeftmeshError
from weftmesh.core.learning.model import RoundKind
from weftmesh.core.learning.sum_names import parse_sum_name
from weftmesh.core.noise.shares import share_of_noise
from weftmesh.learner.app import client_app
from weftmesh.learner.contributing import ContributingLearner, Noising
from weftmesh.learner.faults import without_paths
from weftmesh.learner.memory_file import MemoryFile
from weftmesh.learner.node import JobView, Node
from weftmesh.learner.noising import noised
from weftmesh.learner.trainer import Assignment, HeadTrainer, RoundTrainer
from weftmesh.runtime.wire.envelopes import LearnerRefusal, Work, seal, unseal

OPT_OUT_FILE: Final = "opt-out"
"""While a file of this name is in the state directory, the learner refuses everything, whatever the mesh says."""
INTENT_WAIT_S: Final = 2.0
"""The replica of a node may lag behind the one that committed the intent; so long it is waited for."""
ROUND_WAIT_S: Final = 2.0
"""The same for the round itself, and for its base version."""


class Secrecy:
    """Answers envelopes of coordinators, on one worker thread, one at a time.

    Args:
        name: of this node.
        node: the node itself.
        state_dir: where the contributor's memory is.
        heads: what can be trained, by name.
        rng: `secrets.SystemRandom()` in production.
        clock: seconds that only go up.

    Raises:
        DataCorruptionError: the memory is damaged: nothing is answered.
    """

    def __init__(
        self,
        name: str,
        node: Node,
        state_dir: Path,
        heads: Mapping[str, HeadTrainer],
        rng: random.Random,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        memory = MemoryFile(state_dir)
        self._name = name
        self._node = node
        self._opt_out = state_dir / OPT_OUT_FILE
        self._clock = clock
        self._remember = memory.save
        self._rng = rng
        # The term is the replica's to show: Raft keeps it, and a mesh that is restored from a backup begins at 1 again.
        known = replace(memory.load(), term=0)
        self._contributor = Contributor(name, sign=node.sign, verify=node.verify, rng=rng, memory=known)
        self._trainer = RoundTrainer(heads)
        self._learner = ContributingLearner(
            self._contributor, client_app(self._trainer), self._shown_intent, memory.save, clock
        )

    def answer(self, job: str, term: int, payload: bytes) -> bytes:
        """The answer to one question; a refusal is an answer too, and quotes no task.

        Args:
            job: as the node says.
            term: of the coordinator that asks, in which the node's replica has it lead.
            payload: an envelope.

        Raises:
            OSError: the memory could not be made durable; nothing that depends on it has left.
        """
        try:
            letter = unseal(payload)
            if isinstance(letter, Invitation):
                return self._join(job, self._admit(job, letter.terms.base_version), letter, payload)
            # Those that were joined: under other ones for the same round, noise would shrink and a base version change.
            terms = self._contributor.terms
            if isinstance(letter, Work) and terms is not None:
                view = self._in_round(job, terms)
                self._trainer.assign(self._assignment(job, view, terms))
                return self._learner.answer(payload, self._noising(view, terms))
            self._require_owner()
            self._contributor.apply(TermShown(term), self._clock())
            return self._learner.answer(payload)
        except WeftmeshError as error:
            return seal(LearnerRefusal(error.reason, without_paths(str(error))))
        finally:
            self._trainer.assign(None)

    def _require_owner(self) -> None:
        if self._opt_out.exists():
            raise ForbiddenError(f"the owner of {self._name} takes no part in learning", reason="OPTED_OUT")

    def _admit(self, job: str, base_version: int, round_id: bytes = b"", wait_s: float = 0.0) -> JobView:
        """The job and a base version as the replica has them, once its term is shown to the contributor.

        Raises:
            ForbiddenError: this node's owner takes no part.
            PreconditionError: there is no such job, or it is not enabled.
        """
        self._require_owner()
        view = self._node.job(job, base_version, round_id, wait_s)
        if view.opted_out:
            raise ForbiddenError(f"the owner of {self._name} takes no part in job {job}", reason="OPTED_OUT")
        if not view.enabled:
            raise PreconditionError(f"{self._name} knows no job {job} that is enabled", reason="JOB_NOT_ENABLED")
        # A replica that lags shows an older term than the contributor has heeded, which refuses it and goes on.
        self._contributor.apply(TermShown(view.term), self._clock())
        return view

    def _join(self, job: str, view: JobView, invitation: Invitation, payload: bytes) -> bytes:
        terms = invitation.terms
        if parse_sum_name(terms.job)[0] != job:
            raise InvalidInputError(f"an invitation to {terms.job} came as a question of job {job}")
        if terms.term > view.term:
            # Heeded once, it would shut out every coordinator of a real term.
            raise PreconditionError(
                f"{self._name} has not heard of term {terms.term}, it is in term {view.term}; ask again shortly",
                reason="TERM_UNKNOWN",
            )
        for intent in view.intents:
            # What the mesh has settled stays settled, should this node's memory be lost.
            if (intent.job, intent.base_version) == (terms.job, terms.base_version):
                self._show(intent)
        return self._learner.answer(payload)

    def _in_round(self, job: str, terms: RoundTerms) -> JobView:
        """The job once the replica shows the round that was joined: an older state may not show the job's noise yet.

        While a round is under way, the log does not change what the job is.
        """
        view = self._admit(job, terms.base_version, terms.round_id, ROUND_WAIT_S)
        if view.round_id != terms.round_id:
            raise PreconditionError(
                f"{self._name} sees no round {terms.round_id.hex()} of job {job} under way; open it first",
                reason="ROUND_UNKNOWN",
            )
        return view

    def _noising(self, view: JobView, terms: RoundTerms) -> Noising | None:
        """This node's share of the sum's noise, by its own replica; `terms.needed` is what it will unmask at least."""
        if view.noise is None:
            return None
        share = share_of_noise(view.noise.clip, view.noise.sigma, terms.needed, view.noise.colluders)
        return partial(noised, share=share, random_bytes=self._rng.randbytes)

    def _assignment(self, job: str, view: JobView, terms: RoundTerms) -> Assignment | None:
        """What the round that was joined is for; None when it is not under way, which the contributor will say."""
        if self._contributor.round_id != terms.round_id:
            return None
        named, kind = parse_sum_name(terms.job)
        if named != job:
            raise InvalidInputError(f"work for {terms.job} came as a question of job {job}")
        base = None if kind is RoundKind.STATISTICS else view.versions.get(terms.base_version)
        if base is None and kind is not RoundKind.STATISTICS:
            raise PreconditionError(
                f"{self._name} knows no version {terms.base_version} of job {job}; add it before a round starts there",
                reason="BASE_UNKNOWN",
            )
        return Assignment(view.head, kind, base, view.projects, view.as_of_s, view.labels_min, view.noise)

    def _shown_intent(self, asked: UnmaskIntent) -> UnmaskIntent | None:
        job, kind = parse_sum_name(asked.job)
        return self._node.shown_intent(job, kind, asked.round_id, asked.base_version, INTENT_WAIT_S)

    def _show(self, intent: UnmaskIntent) -> None:
        for effect in self._contributor.apply(IntentShown(intent), self._clock()).effects:
            if isinstance(effect, Remember):
                self._remember(effect.memory)
