"""The scheduler: who is next, who is raised, and what is refused."""

import math

import pytest
from tests.unit.core.schedule.lanes_simulated import BATCH, CRITICAL, NORMAL, Simulated

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.events import (
    Burned,
    Event,
    Next,
    OutcomeKind,
    Overran,
    Ran,
    Refusal,
    ServiceLowered,
    ServiceRaised,
    SetWeights,
    Submit,
    Unblock,
    Wake,
    WeightsChanged,
)
from weftmesh.core.schedule.model import Job, Settings, State, Turn


def test_the_earliest_deadline_of_a_class_is_next() -> None:
    lanes = Simulated()
    late, early, middle = (lanes.submit(NORMAL, deadline_s) for deadline_s in (0.9, 0.1, 0.5))
    assert [run.job for _ in range(3) if (run := lanes.turn(0.001, State.ENDED))] == [early, middle, late]


def test_equal_deadlines_are_served_in_the_order_of_submission() -> None:
    lanes = Simulated()
    jobs = [lanes.submit(BATCH, 1.0) for _ in range(5)]
    assert [run.job for _ in jobs if (run := lanes.turn(0.001, State.ENDED))] == jobs


def test_a_critical_job_waits_for_one_turn_at_most_while_its_class_has_not_used_its_share() -> None:
    lanes = Simulated()
    for _ in range(20):
        lanes.submit(NORMAL)
        lanes.submit(BATCH)
    for _ in range(50):
        lanes.turn()
        critical = lanes.submit(CRITICAL)
        run = lanes.turn(0.001, State.ENDED)
        assert run is not None
        assert run.job == critical


def test_classes_that_always_have_something_to_do_share_by_weight() -> None:
    lanes = Simulated()
    for service_class in ServiceClass:
        lanes.submit(service_class)
    while lanes.now_s < 12.0:
        lanes.turn()
    shares = [lanes.ran_s[one] / lanes.now_s for one in ServiceClass]
    assert shares == pytest.approx([8 / 12, 3 / 12, 1 / 12], abs=0.002)


def test_a_class_that_was_idle_saved_nothing_up() -> None:
    lanes = Simulated()
    lanes.submit(NORMAL)
    for _ in range(1000):
        lanes.turn()
    lanes.submit(CRITICAL)
    assert [run.service_class for _ in range(11) if (run := lanes.turn())].count(NORMAL) >= 2


def test_who_waits_too_long_gets_every_second_turn_of_its_class() -> None:
    lanes = Simulated()
    old = lanes.submit(NORMAL, deadline_s=1e6)
    urgent = lanes.submit(NORMAL, deadline_s=0.1)
    while lanes.now_s < 0.6:
        run = lanes.turn()
        assert run is not None
        if run.job == old:
            break
    assert run is not None
    assert (run.job, run.turn) == (old, Turn.AGE)
    assert run.waited_s > lanes.settings.patience_s[NORMAL]
    following = lanes.turn()
    assert following is not None
    assert following.job == urgent


def test_a_job_that_has_not_ended_by_its_deadline_does_not_go_before_all_others_for_ever() -> None:
    lanes = Simulated()
    long = lanes.submit(NORMAL, deadline_s=0.05)
    others = [lanes.submit(NORMAL, deadline_s=0.06) for _ in range(3)]
    runs = [run for _ in range(24) if (run := lanes.turn())]
    assert [run.job for run in runs[:10]] == [long] * 10
    assert {run.job for run in runs} == {long, *others}
    assert {run.turn for run in runs} == {Turn.DEADLINE}


def test_a_missed_deadline_is_told_with_the_turn() -> None:
    lanes = Simulated()
    lanes.submit(NORMAL, deadline_s=0.25)
    lanes.now_s = 1.0
    run = lanes.turn()
    assert run is not None
    assert run.late_s == pytest.approx(0.75)


def test_who_holds_the_loop_for_longer_than_a_slice_is_named() -> None:
    lanes = Simulated()
    job = lanes.submit(BATCH)
    lanes.machine.apply(Next(), 0.0)
    assert lanes.ended(job, 0.02, State.READY)[1] == (Overran(job, 0.02),)


def test_an_overrun_is_paid_for() -> None:
    lanes = Simulated()
    lanes.submit(NORMAL)
    lanes.turn(ran_s=1.0)
    lanes.submit(BATCH)
    others = [run.service_class for _ in range(66) if (run := lanes.turn())]
    assert set(others) == {BATCH}


def test_turns_that_take_no_time_are_not_free() -> None:
    lanes = Simulated()
    lanes.submit(CRITICAL)
    lanes.submit(BATCH)
    runs = [run.service_class for _ in range(90) if (run := lanes.turn(ran_s=0.0))]
    assert runs.count(BATCH) == 10


def test_a_blocked_job_gets_no_turn_until_it_is_ready_again() -> None:
    lanes = Simulated()
    job = lanes.submit(NORMAL)
    lanes.turn(0.001, State.BLOCKED)
    assert lanes.turn() is None
    lanes.machine.apply(Unblock(job.id), lanes.now_s)
    run = lanes.turn()
    assert run is not None
    assert run.job == job


def test_there_is_one_turn_at_a_time() -> None:
    lanes = Simulated()
    lanes.submit(NORMAL)
    lanes.submit(NORMAL)
    assert len(lanes.machine.apply(Next(), 0.0)[1]) == 1
    assert lanes.machine.apply(Next(), 0.0)[1] == ()


# Recalibration


def burned(lanes: Simulated, rate: float, service: str = "payments") -> list[object]:
    outcome, effects = lanes.machine.apply(Burned(service, rate), lanes.now_s)
    assert outcome.kind is not OutcomeKind.REFUSED
    return list(effects)


def test_the_jobs_of_a_service_that_burns_its_budget_run_one_class_up_and_the_effect_says_why() -> None:
    lanes = Simulated()
    normal = [lanes.submit(NORMAL) for _ in range(5)]
    batch = lanes.submit(BATCH, service="payments")
    (raised,) = burned(lanes, 14.4)
    assert isinstance(raised, ServiceRaised)
    assert "payments spends its error budget 14.4 times as fast as it may" in raised.reason
    assert lanes.machine.waiting(NORMAL) == len(normal) + 1
    assert lanes.machine.waiting(BATCH) == 0
    lanes.submit(BATCH, service="payments")
    assert lanes.machine.waiting(NORMAL) == len(normal) + 2
    assert raised.reason in lanes.machine.story("payments")
    assert batch.name in lanes.machine.story("payments")


def test_a_critical_job_has_no_class_above() -> None:
    lanes = Simulated()
    lanes.submit(CRITICAL, service="payments")
    burned(lanes, 3.0)
    run = lanes.turn()
    assert run is not None
    assert run.service_class is CRITICAL


def test_a_raised_service_comes_down_when_it_was_calm_for_long_enough() -> None:
    lanes = Simulated()
    lanes.submit(BATCH, service="payments")
    burned(lanes, 3.0)
    for lanes.now_s in (100.0, 250.0, 399.0):
        assert burned(lanes, 0.5) == []
    assert lanes.machine.next_deadline() == 400.0
    _, (lowered,) = lanes.machine.apply(Wake(), 400.0)
    assert isinstance(lowered, ServiceLowered)
    assert "for 300 s" in lowered.reason
    assert lanes.machine.waiting(BATCH) == 1
    assert lanes.machine.next_deadline() is None


def test_a_rate_between_the_limits_keeps_a_service_where_it_is() -> None:
    lanes = Simulated()
    assert burned(lanes, 1.5) == []
    burned(lanes, 3.0)
    for lanes.now_s in range(100, 3000, 100):
        burned(lanes, 0.5 if lanes.now_s % 200 else 1.5)
        assert lanes.machine.apply(Wake(), lanes.now_s)[1] == ()


def test_a_service_of_which_nothing_is_heard_comes_down() -> None:
    lanes = Simulated()
    burned(lanes, 3.0)
    _, (lowered,) = lanes.machine.apply(Wake(), 900.0)
    assert isinstance(lowered, ServiceLowered)
    assert "nobody has told for 900 s" in lowered.reason


def test_not_everybody_can_be_raised() -> None:
    lanes = Simulated(Settings(raised_max=2))
    for service in ("a", "b"):
        burned(lanes, 3.0, service)
    outcome, effects = lanes.machine.apply(Burned("c", 30.0), 0.0)
    assert (outcome.refusal, effects) == (Refusal.LIMIT_REACHED, ())
    assert "2 services" in outcome.message


def test_new_weights_share_anew_and_say_why() -> None:
    lanes = Simulated()
    for service_class in ServiceClass:
        lanes.submit(service_class)
    _, effects = lanes.machine.apply(SetWeights(dict.fromkeys(ServiceClass, 1.0), "a backup has to end"), 0.0)
    assert effects == (WeightsChanged(dict.fromkeys(ServiceClass, 1.0), "a backup has to end"),)
    while lanes.now_s < 3.0:
        lanes.turn()
    assert [lanes.ran_s[one] for one in ServiceClass] == pytest.approx([1.0] * 3, abs=0.02)
    assert "a backup has to end" in lanes.machine.story("anything")


# Refusals


JOB = Job(1, "one", NORMAL, 1.0)


@pytest.mark.parametrize(
    ("event", "refusal"),
    [
        (Submit(JOB), Refusal.ALREADY_EXISTS),
        (Submit(Job(2, "two", NORMAL, math.nan)), Refusal.INVALID),
        (Submit(Job(3, "three", NORMAL, 1.0)), Refusal.LIMIT_REACHED),
        (Ran(9, 0.001, State.READY), Refusal.NO_SUCH_JOB),
        (Ran(1, math.nan, State.READY), Refusal.INVALID),
        (Ran(1, -1.0, State.READY), Refusal.INVALID),
        (Ran(1, 0.001, State.RUNNING), Refusal.WRONG_STATE),
        (Unblock(9), Refusal.NO_SUCH_JOB),
        (Unblock(1), Refusal.WRONG_STATE),
        (Burned("", 3.0), Refusal.INVALID),
        (Burned("a", math.inf), Refusal.INVALID),
        (SetWeights({NORMAL: 1.0}, ""), Refusal.INVALID),
        (SetWeights(dict.fromkeys(ServiceClass, 0.0), ""), Refusal.INVALID),
    ],
)
def test_what_cannot_be_is_refused_in_words_and_changes_nothing(event: Event, refusal: Refusal) -> None:
    lanes = Simulated(Settings(jobs_max=1))
    lanes.machine.apply(Submit(JOB), 0.0)
    before = lanes.machine.story("")
    outcome, effects = lanes.machine.apply(event, 0.0)
    assert (outcome.kind, outcome.refusal, effects) == (OutcomeKind.REFUSED, refusal, ())
    assert outcome.message
    assert lanes.machine.story("") == before
    lanes.machine.check()


@pytest.mark.parametrize(
    "settings",
    [
        Settings(weights={NORMAL: 1.0}),
        Settings(patience_s={NORMAL: 1.0}),
        Settings(slice_s=0.0),
        Settings(raise_at=1.0, lower_below=1.0),
    ],
)
def test_settings_out_of_range_are_an_error(settings: Settings) -> None:
    with pytest.raises(InvalidInputError, match="schedule: "):
        Simulated(settings)
