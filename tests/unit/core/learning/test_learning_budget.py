"""A privacy budget is spent once, before anything is unmasked, whoever leads and whoever races."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.core.learning.facts import FIRST, JOB, NEWER, Mesh, define, founded, intent, opening, result, seed

from weftmesh.core.learning.commands import Command
from weftmesh.core.learning.model import Coordinator, Job, NoisePolicy, UnmaskIntent
from weftmesh.core.learning.outcomes import Reason
from weftmesh.core.learning.privacy import budget_objection, epsilon_at_delta, sum_cost_nano_rho
from weftmesh.core.noise.zcdp import epsilon_of

NOISE = NoisePolicy(clip=1.0, sigma=5.0, budget_nano_rho=20_000_000)
"""Pays for one sum."""
COST_NANO_RHO = 20_000_000


def job_of(mesh: Mesh) -> Job:
    job = mesh.learning.job(JOB)
    assert job is not None
    return job


def test_the_last_of_the_budget_is_paid_before_anything_is_unmasked() -> None:
    mesh = founded(noise=NOISE)
    assert not budget_objection(job_of(mesh))
    mesh.done(opening(1), intent(1))
    assert job_of(mesh).spent_nano_rho == COST_NANO_RHO
    assert "costs 20000000 billionths of rho and 0 are left" in budget_objection(job_of(mesh))


def test_two_leaders_who_race_for_the_last_of_a_budget_spend_it_once() -> None:
    mesh = founded(noise=NOISE)
    mesh.done(opening(1), opening(2, by=NEWER))
    mesh.done(intent(2, by=NEWER))
    mesh.refused(intent(1), Reason.STALE_TERM, "stand down")
    mesh.done(result(2, by=NEWER))
    mesh.refused(opening(3, 2, by=Coordinator("n1", 7)), Reason.BUDGET_SPENT, "0 are left")
    assert job_of(mesh).spent_nano_rho == COST_NANO_RHO


def test_neither_noise_nor_budget_changes_while_a_round_is_under_way() -> None:
    """What contributors added to their vectors is what the intent pays for."""
    mesh = founded(noise=NOISE)
    mesh.done(opening(1))
    for noise in (None, replace(NOISE, sigma=9.0), replace(NOISE, budget_nano_rho=10**9), replace(NOISE, colluders=0)):
        mesh.refused(define(version=1, noise=noise), Reason.ROUND_UNDER_WAY, "by its present definition")


def test_a_raised_budget_keeps_what_was_spent() -> None:
    mesh = founded(noise=NOISE)
    mesh.train(1, 1)
    mesh.done(define(version=1, noise=replace(NOISE, budget_nano_rho=2 * COST_NANO_RHO)))
    mesh.train(2, 2)
    assert job_of(mesh).spent_nano_rho == 2 * COST_NANO_RHO
    mesh.refused(opening(3, 3), Reason.BUDGET_SPENT, "0 are left")


def test_what_was_spent_is_told_as_epsilon() -> None:
    assert epsilon_at_delta(NOISE, COST_NANO_RHO) == epsilon_of(0.02, 1e-6)
    assert epsilon_at_delta(replace(NOISE, delta=1e-3), COST_NANO_RHO) < epsilon_at_delta(NOISE, COST_NANO_RHO)


class RacingLeaders(RuleBasedStateMachine):
    """Leaders of several terms open rounds, commit intents and finish, in any order and any number of times."""

    def __init__(self) -> None:
        super().__init__()
        self.mesh = founded(noise=NOISE)
        self.budget_nano_rho = COST_NANO_RHO

    @initialize(sums=st.integers(1, 3))
    def found(self, sums: int) -> None:
        self.budget_nano_rho = sums * COST_NANO_RHO
        self.mesh = Mesh(define(noise=replace(NOISE, budget_nano_rho=self.budget_nano_rho)), seed())

    @rule(number=st.integers(1, 5), by=st.sampled_from([FIRST, NEWER]), base=st.integers(1, 4))
    def open(self, number: int, by: Coordinator, base: int) -> None:
        self._ask(opening(number, base, by=by))

    @rule(number=st.integers(1, 5), by=st.sampled_from([FIRST, NEWER]), base=st.integers(1, 4))
    def commit(self, number: int, by: Coordinator, base: int) -> None:
        self._ask(intent(number, base, by=by))

    @rule(number=st.integers(1, 5), by=st.sampled_from([FIRST, NEWER]))
    def finish(self, number: int, by: Coordinator) -> None:
        self._ask(result(number, by=by))

    def _ask(self, command: Command) -> None:
        self.mesh.ask(command)

    @invariant()
    def every_intent_is_paid_for_within_the_budget(self) -> None:
        rows = self.mesh.learning.freeze().rows
        paid = sum(row.nano_rho for row in rows if isinstance(row, UnmaskIntent))
        job = job_of(self.mesh)
        assert job.spent_nano_rho == paid <= self.budget_nano_rho
        assert sum_cost_nano_rho(job.noise) == COST_NANO_RHO


TestRacingLeaders = RacingLeaders.TestCase
TestRacingLeaders.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
