"""What holds for every log of learning commands, whatever coordinators and people do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.core.learning.random_logs import JOBS, RandomLearning, random_learning_log

from weftmesh.core.learning.commands import Command, CommitIntent
from weftmesh.core.learning.machine import Learning
from weftmesh.core.learning.model import RoundKind, UnmaskIntent
from weftmesh.core.learning.outcomes import Reason, Verb

logs = st.builds(random_learning_log, st.integers(0, 2**32), st.integers(1, 5).map(lambda tens: tens * 10))
quick = settings(max_examples=40, deadline=None)

_OUT_OF_REACH = {Reason.INVALID_VALUE, Reason.LIMIT_REACHED, Reason.NO_SUCH_JOB}
"""Of the random logs here; other tests see to them."""


def test_random_logs_reach_every_verb_and_nearly_every_reason() -> None:
    verbs: set[Verb] = set()
    reasons: set[Reason] = set()
    for seed in range(60):
        learning = Learning()
        for command in random_learning_log(seed, 100):
            outcome, events = learning.apply(command)
            reasons.add(outcome.reason)
            verbs |= {event.verb for event in events}
    assert verbs == set(Verb)
    assert reasons | _OUT_OF_REACH == set(Reason)


class LearningStates(RuleBasedStateMachine):
    """Commands that fit what is there, or nearly; everything that was ever unmasked is remembered here."""

    def __init__(self) -> None:
        super().__init__()
        self.learning = Learning()
        self.draws = RandomLearning(0, self.learning)
        self.sums: dict[tuple[str, RoundKind, bytes], UnmaskIntent] = {}
        self.terms = dict.fromkeys(JOBS, 0)

    @initialize(seed=st.integers(0, 2**32))
    def found(self, seed: int) -> None:
        self.draws = RandomLearning(seed, self.learning)
        for command in self.draws.founding():
            self._apply(command)

    @rule(repeats=st.integers(1, 5))
    def carry_on(self, repeats: int) -> None:
        for _ in range(repeats):
            self._apply(self.draws.command())

    @rule()
    def restart_from_a_snapshot(self) -> None:
        self.learning = self.draws.learning = Learning.thaw(self.learning.freeze())

    def _apply(self, command: Command) -> None:
        outcome, events = self.learning.apply(command)
        assert outcome.ok is bool(not outcome.message)
        assert len(events) <= 1
        if events and isinstance(command, CommitIntent):
            self._note_sum(command)

    def _note_sum(self, command: CommitIntent) -> None:
        present = self.learning.round(command.round_id)
        assert present is not None
        intent = self.learning.intent(command.job, present.kind, command.base_version)
        assert intent is not None
        key = (intent.job, intent.kind, intent.base_sha256)
        assert key not in self.sums, f"a second sum over one model: {self.sums[key]} and {intent}"
        self.sums[key] = intent

    @invariant()
    def every_invariant_holds(self) -> None:
        self.learning.check()

    @invariant()
    def terms_never_go_back(self) -> None:
        for job in self.learning.jobs():
            assert job.coordinator.term >= self.terms[job.name]
            self.terms[job.name] = job.coordinator.term

    @invariant()
    def what_was_summed_stays_as_it_was(self) -> None:
        for intent in self.sums.values():
            assert self.learning.intent(intent.job, intent.kind, intent.base_version) == intent

    @invariant()
    def one_round_of_a_job_is_under_way(self) -> None:
        for job in self.learning.jobs():
            assert len([one for one in self.learning.rounds(job.name) if one.is_under_way]) <= 1


TestLearningStates = LearningStates.TestCase
TestLearningStates.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@quick
@given(logs)
def test_the_same_log_makes_the_same_state(log: list[Command]) -> None:
    one, other = Learning(), Learning()
    for command in log:
        assert one.preview(command) == one.preview(command)
        assert one.apply(command) == other.apply(command)
    assert one.state_hash == other.state_hash
    assert one.freeze() == other.freeze()


@quick
@given(logs, st.integers(0, 50))
def test_a_thawed_machine_goes_on_as_the_frozen_one_would(log: list[Command], cut: int) -> None:
    learning = Learning()
    for command in log[:cut]:
        learning.apply(command)
    replica = Learning.thaw(learning.freeze())
    assert replica.state_hash == learning.state_hash
    for command in log[cut:]:
        assert learning.apply(command) == replica.apply(command)
    replica.check()
    assert replica.freeze() == learning.freeze()
    assert replica.events_since(replica.event_floor) == learning.events_since(learning.event_floor)


@quick
@given(logs)
def test_different_states_have_different_hashes(log: list[Command]) -> None:
    learning = Learning()
    seen = {learning.state_hash}
    for command in log:
        _, events = learning.apply(command)
        if events:
            assert learning.state_hash not in seen
            seen.add(learning.state_hash)


def test_the_state_hash_is_the_same_in_every_process_and_nothing_when_empty() -> None:
    learning = Learning()
    assert learning.state_hash == "0" * 32
    for command in random_learning_log(1, 60):
        learning.apply(command)
    assert (learning.revision, learning.state_hash) == (28, "7141c22316999f7067f3581cfd996ca3")
