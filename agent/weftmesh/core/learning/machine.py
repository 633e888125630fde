"""The learning machine: pure, with the house's verbs `apply`, `next_deadline`, `check` and `story`.

It knows no clock, no randomness and no bytes of a model. The same log makes the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from weftmesh.core.board.commands import Header
from weftmesh.core.board.first_answers import FirstAnswers
from weftmesh.core.board.hashing import HASH_BYTES, HASH_MASK
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.plans import Refusal as ValueRefusal
from weftmesh.core.board.validate import check_header
from weftmesh.core.learning import intent_plans, job_plans, round_plans, version_plans
from weftmesh.core.learning.checking import check_hash, check_store
from weftmesh.core.learning.commands import (
    AbandonRound,
    ActivateVersion,
    AddVersion,
    Command,
    CommitIntent,
    DefineJob,
    FixRoster,
    OpenRound,
    RecordEvaluation,
    RetireVersion,
    RollBack,
    SetOptOut,
    SwitchJob,
)
from weftmesh.core.learning.model import Evaluation, Job, OptOut, Round, RoundKind, UnmaskIntent, Version
from weftmesh.core.learning.outcomes import LearningEvent, LearningOutcome, Reason
from weftmesh.core.learning.plans import Change, Plan, Refusal, Unchanged
from weftmesh.core.learning.retention import outlived
from weftmesh.core.learning.state import LearningState
from weftmesh.core.learning.store import Store
from weftmesh.core.learning.story import job_story, round_story

_PLANNERS: Final[Mapping[type[Any], Callable[[Store, Any], Plan]]] = {
    DefineJob: job_plans.plan_define_job,
    SwitchJob: job_plans.plan_switch_job,
    SetOptOut: job_plans.plan_set_opt_out,
    OpenRound: round_plans.plan_open_round,
    FixRoster: round_plans.plan_fix_roster,
    CommitIntent: intent_plans.plan_commit_intent,
    AbandonRound: round_plans.plan_abandon_round,
    AddVersion: version_plans.plan_add_version,
    RecordEvaluation: version_plans.plan_record_evaluation,
    ActivateVersion: version_plans.plan_activate_version,
    RollBack: version_plans.plan_roll_back,
    RetireVersion: version_plans.plan_retire_version,
}


class Learning:
    """Jobs, rounds and versions at one revision. Not safe for concurrent use; the values it hands out are immutable."""

    def __init__(self) -> None:
        self._store = Store()
        self._answers = FirstAnswers(LearningOutcome, _reused)

    # Verbs

    def apply(self, command: Command) -> tuple[LearningOutcome, tuple[LearningEvent, ...]]:
        """Executes `command`; one event, of the next revision, and none when nothing changed. Never raises."""
        header = command.header
        first = self._answers.first(header, self.revision)
        if first is not None:
            return first, ()
        plan, outcome = self._decide(command)
        events = (self._commit(plan, header),) if isinstance(plan, Change) else ()
        self._answers.remember(header, outcome, self.revision)
        return outcome, events

    def preview(self, command: Command) -> LearningOutcome:
        """What `apply` would answer; nothing changes."""
        first = self._answers.first(command.header, self.revision)
        return self._decide(command)[1] if first is None else first

    def next_deadline(self) -> None:
        """It has no timers: a coordinator keeps the schedule, and its term ends what it leaves behind."""

    def check(self) -> None:
        """Asserts every invariant; takes time in proportion to the state."""
        check_store(self._store)
        check_hash(self._store, self._answers, self.hash_sum)

    def story(self, key: str) -> str:
        """What happened to the job of this name, or to the round with this id in hexadecimal."""
        job = self._store.jobs.get(key)
        if job is not None:
            return job_story(self._store, job)
        for one in self._store.rounds:
            if one.id.hex() == key:
                return round_story(self._store, one)
        return f"{key}: no such job or round at revision {self.revision}"

    def _decide(self, command: Command) -> tuple[Plan | None, LearningOutcome]:
        revision = self._store.revision
        try:
            check_header(command.header)
            plan = _PLANNERS[type(command)](self._store, command)
        except ValueRefusal as refusal:
            return None, self._refused(command, Refusal(Reason.INVALID_VALUE, refusal.message, refusal.kind))
        except Refusal as refusal:
            return None, self._refused(command, refusal)
        if isinstance(plan, Unchanged):
            kind = OutcomeKind.UNCHANGED
        else:
            kind, revision = OutcomeKind.APPLIED, revision + 1
        return plan, LearningOutcome(kind, revision, plan.job, current_version=plan.current_version)

    def _refused(self, command: Command, refusal: Refusal) -> LearningOutcome:
        return LearningOutcome(
            refusal.kind,
            self.revision,
            command.job if command.job in self._store.jobs else "",
            refusal.message,
            current_version=refusal.current_version,
            reason=refusal.reason,
        )

    def _commit(self, change: Change, header: Header) -> LearningEvent:
        store = self._store
        for row in change.rows:
            store.put(row)
        for row in change.gone:
            store.drop(row)
        job = store.jobs.get(change.job)
        for row in outlived(store, job) if job is not None else ():
            store.drop(row)
        event = LearningEvent(
            store.revision + 1,
            change.verb,
            change.job,
            change.round_id,
            change.version,
            change.node,
            change.note,
            header.actor,
            header.stamp,
        )
        store.append(event)
        return event

    # Reads

    @property
    def revision(self) -> int:
        """Up by one with every change; 0 for an empty machine."""
        return self._store.revision

    @property
    def hash_sum(self) -> int:
        """The state hash as a number: 0 for an empty machine, and it adds up with those of other machines."""
        return (self._store.hash_sum + self._answers.hash_sum) & HASH_MASK

    @property
    def state_hash(self) -> str:
        """32 hexadecimal digits, equal where states are equal."""
        return self.hash_sum.to_bytes(HASH_BYTES, "big").hex()

    @property
    def event_floor(self) -> int:
        """`events_since` answers from this revision on."""
        return self._store.event_floor

    def jobs(self) -> tuple[Job, ...]:
        """All jobs, in the order in which they were defined."""
        return tuple(self._store.jobs)

    def job(self, name: str) -> Job | None:
        """A job by name."""
        return self._store.jobs.get(name)

    def opt_outs(self) -> tuple[OptOut, ...]:
        """All opt-outs."""
        return tuple(self._store.opt_outs)

    def is_opted_out(self, node: str, job: str) -> bool:
        """Whether a node's owner keeps it out of a job: a coordinator must not count on it."""
        return self._store.is_opted_out(node, job)

    def round(self, round_id: bytes) -> Round | None:
        """A round that is kept, over or not."""
        return self._store.rounds.get(round_id)

    def rounds(self, job: str) -> tuple[Round, ...]:
        """The rounds of a job that are kept, the oldest first."""
        return tuple(one for one in self._store.rounds if one.job == job)

    def intent(self, job: str, kind: RoundKind, base_version: int) -> UnmaskIntent | None:
        """What a contributor must see on its own replica before it helps to unmask a sum over this base version."""
        return self._store.intents.get((job, kind, base_version))

    def version(self, job: str, number: int) -> Version | None:
        """A version that is kept."""
        return self._store.versions.get((job, number))

    def versions(self, job: str) -> tuple[Version, ...]:
        """The versions of a job that are kept, the oldest first."""
        return tuple(self._store.versions_of(job))

    def active_version(self, job: str) -> Version | None:
        """The version that forecasts are made with."""
        found = self._store.jobs.get(job)
        return None if found is None else self._store.versions.get((job, found.active_version))

    def evaluation(self, job: str, version: int) -> Evaluation | None:
        """What a version did on held-out examples."""
        return self._store.evaluations.get((job, version))

    def events_since(self, revision: int) -> tuple[LearningEvent, ...] | None:
        """The events after `revision`; None when they are no longer kept."""
        if revision < self._store.event_floor:
            return None
        return tuple(event for event in self._store.events if event.revision > revision)

    # Snapshots

    def freeze(self) -> LearningState:
        """The whole state, of immutable values."""
        return LearningState(
            revision=self.revision,
            state_hash=self.hash_sum.to_bytes(HASH_BYTES, "big"),
            event_floor=self._store.event_floor,
            rows=tuple(self._store.rows()),
            events=tuple(self._store.events),
            requests=self._answers.freeze(),
        )

    @classmethod
    def thaw(cls, state: LearningState) -> Learning:
        """A machine with that state. The hash is made anew; who reads a snapshot compares it with the stored one."""
        learning = cls()
        learning._store = Store(state.revision)
        learning._store.load(state.rows, state.events, state.event_floor)
        learning._answers.thaw(state.requests)
        return learning


def _reused(revision: int, message: str) -> LearningOutcome:
    return LearningOutcome(OutcomeKind.REQUEST_REUSED, revision, message=message, reason=Reason.REQUEST_REUSED)
