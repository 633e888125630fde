"""Jobs, their privacy budget, and requests that are asked twice."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.learning.facts import (
    FIRST,
    JOB,
    Mesh,
    define,
    founded,
    header,
    intent,
    opening,
    result,
    round_id,
    seed,
)

from weftmesh.core.aggregation.terms import check_base
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.learning.commands import Command, DefineJob, SetOptOut, SwitchJob
from weftmesh.core.learning.model import Coordinator, Job, Limits, NoisePolicy, RoundStage
from weftmesh.core.learning.outcomes import Reason
from weftmesh.core.learning.privacy import NANO_RHO, left_nano_rho, sum_cost_nano_rho

NOISE = NoisePolicy(clip=1.0, sigma=5.0, budget_nano_rho=50_000_000)
"""One sum costs 0.02 rho: two of them fit."""


def test_a_job_is_defined_once_and_changed_by_version() -> None:
    mesh = Mesh(define())
    outcome = mesh.refused(define(), Reason.VERSION_CONFLICT, "send version 1 to change it")
    assert (outcome.kind, outcome.current_version) == (OutcomeKind.ALREADY_EXISTS, 1)
    assert mesh.ask(define(version=1)).kind is OutcomeKind.UNCHANGED
    assert mesh.done(define(version=1, spec=b"other")).current_version == 2
    mesh.refused(define(version=1), Reason.VERSION_CONFLICT, "at version 2, not 1")


def test_a_job_is_not_redefined_under_a_round() -> None:
    mesh = founded()
    mesh.done(opening(1))
    mesh.refused(define(version=1, floor=4), Reason.ROUND_UNDER_WAY, "wait for its end")


def test_an_unknown_job_is_named_with_those_that_are_known() -> None:
    mesh = Mesh(define())
    outcome = mesh.refused(SwitchJob(header(), "effrot", enabled=False), Reason.NO_SUCH_JOB, "one of these: effort")
    assert outcome.kind is OutcomeKind.NOT_FOUND
    assert mesh.ask(SwitchJob(header(), JOB, enabled=True)).kind is OutcomeKind.UNCHANGED


@pytest.mark.parametrize(
    ("wrong", "saying"),
    [
        (define(floor=2), "what one of them sent"),
        (define(percent=49), "two coordinators could unmask"),
        (define(percent=101), "threshold_percent"),
        (define(spec=bytes(Limits.SPEC_BYTES + 1)), "keep data out of it"),
        (define(noise=NoisePolicy(0.0, 1.0, NANO_RHO)), "noise.clip"),
        (define(noise=NoisePolicy(1.0, math.nan, NANO_RHO)), "noise.sigma"),
        (define(noise=NoisePolicy(2.0**26, 2.0**-10, NANO_RHO)), "raise sigma"),
        (define(noise=NoisePolicy(1.0, 1e-6, NANO_RHO)), "noise.sigma"),
        (define(noise=NoisePolicy(1.0, 5.0, NANO_RHO, delta=0.0)), "noise.delta"),
        (define(noise=NoisePolicy(1.0, 5.0, NANO_RHO, colluders=3)), "one has to be honest"),
        (define(noise=NoisePolicy(1.0, 1.0, 1)), "raise sigma or the budget"),
        (DefineJob(header(), "Effort", b"", 3, 60), "small letters"),
        (SetOptOut(header(), "no such name"), "not a node's name"),
        (seed(by=Coordinator("n1", 0)), "send the Raft term"),
        (replace(define(), header=replace(header(), actor="")), "say who writes"),
    ],
)
def test_what_cannot_be_right_is_refused(wrong: Command, saying: str) -> None:
    Mesh().refused(wrong, Reason.INVALID_VALUE, saying)


def test_there_is_room_for_so_many_jobs() -> None:
    mesh = Mesh()
    mesh.hasten(*(replace(define(), job=f"job-{number}") for number in range(Limits.JOBS)))
    mesh.refused(define(), Reason.LIMIT_REACHED, "redefine one of them")


def test_a_round_beyond_the_budget_is_refused_before_it_opens() -> None:
    mesh = founded(noise=NOISE)
    mesh.train(1, 1)
    mesh.train(2, 2)
    mesh.refused(opening(3, 3), Reason.BUDGET_SPENT, "costs 20000000 billionths of rho and 10000000 are left")
    job = mesh.learning.job(JOB)
    assert job is not None
    assert (job.spent_nano_rho, left_nano_rho(job)) == (40_000_000, 10_000_000)
    assert [version.nano_rho for version in mesh.learning.versions(JOB)] == [0, 20_000_000, 20_000_000]


def test_an_intent_is_paid_for_though_its_round_makes_nothing() -> None:
    mesh = founded(noise=NOISE)
    mesh.done(opening(1), intent(1))
    job = mesh.learning.job(JOB)
    assert job is not None
    assert job.spent_nano_rho == 20_000_000


def test_a_budget_is_not_lowered_below_what_is_spent() -> None:
    mesh = founded(noise=NOISE)
    mesh.train(1, 1)
    mesh.train(2, 2)
    lower = replace(NOISE, budget_nano_rho=30_000_000)
    mesh.refused(define(version=1, noise=lower), Reason.BUDGET_SPENT, "disable the job")


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_a_cost_is_never_rounded_in_the_spender_s_favour(clip: float, sigma: float) -> None:
    cost = sum_cost_nano_rho(NoisePolicy(clip, sigma, 1))
    assert cost >= NANO_RHO * (Fraction(clip) / Fraction(sigma)) ** 2 / 2 > cost - 1


@given(st.integers(50, 100), st.integers(1, 1_024))
def test_two_disjoint_sets_never_both_reach_the_threshold(percent: int, roster_size: int) -> None:
    job = Job(JOB, b"", 3, percent, None, 0, 1, True, Coordinator("", 0))
    assert roster_size < 2 * job.threshold(roster_size) <= 2 * roster_size


def test_a_retry_gets_its_first_answer_and_another_request_under_its_id_is_refused() -> None:
    mesh = founded()
    first = replace(opening(1), header=header(7, 1))
    answer = mesh.done(first)
    mesh.done(intent(1), result(1))
    assert mesh.learning.apply(first) == (answer, ())
    again = mesh.refused(replace(first, header=header(7, 2)), Reason.REQUEST_REUSED, "send a new one")
    assert again.kind is OutcomeKind.REQUEST_REUSED


def test_a_refusal_is_an_answer_that_a_retry_gets_too() -> None:
    mesh = founded()
    early = replace(intent(1), header=header(8, 1))
    refusal = mesh.refused(early, Reason.NO_SUCH_ROUND, "open it")
    mesh.done(opening(1))
    assert mesh.learning.apply(early) == (refusal, ())
    mesh.done(intent(1))


def test_a_story_tells_what_happened() -> None:
    mesh = founded(noise=NOISE)
    mesh.train(1, 1)
    story = mesh.learning.story(JOB)
    assert "effort definition 1 enabled: no active version, 30000000 of 50000000 billionths of rho left" in story
    assert "intent committed round 00000000000000000000000000000001 version 1 n1 (5 active, 0 dead)" in story
    told = mesh.learning.story(round_id(1).hex())
    assert "training on version 1 by n1 in term 5, done: made version 2" in told
    assert "no such job or round" in mesh.learning.story("nothing")


def test_watchers_resume_from_a_revision() -> None:
    mesh = founded()
    seen = mesh.learning.revision
    mesh.done(opening(1), intent(1))
    news = mesh.learning.events_since(seen)
    assert news is not None
    assert [event.revision for event in news] == [seen + 1, seen + 2]
    assert mesh.learning.events_since(-1) is None


def test_reads_show_what_is_kept() -> None:
    mesh = founded()
    mesh.done(SetOptOut(header(), "n9", why="spare"), opening(1))
    assert [job.name for job in mesh.learning.jobs()] == [JOB]
    assert [(one.node, one.job, one.why) for one in mesh.learning.opt_outs()] == [("n9", "", "spare")]
    assert mesh.learning.is_opted_out("n9", JOB)
    assert not mesh.learning.is_opted_out("n1", JOB)
    assert [one.stage for one in mesh.learning.rounds(JOB)] == [RoundStage.OPEN]
    assert mesh.learning.active_version("nothing") is None
    assert mesh.learning.event_floor == 0
    assert mesh.learning.jobs()[0].coordinator == FIRST


@given(st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True))
def test_a_job_that_can_be_defined_can_be_summed(name: str) -> None:
    if Mesh().ask(replace(define(), job=name)).ok:
        check_base(f"{name}/training", 1)
