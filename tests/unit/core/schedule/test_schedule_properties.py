"""The scheduler on random histories: nobody starves, shares are fair, deadlines are in order, nothing contradicts."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.schedule.lanes_simulated import Simulated

from weftmesh.core.ola.model import ServiceClass
from weftmesh.core.schedule.bounds import wait_max_s
from weftmesh.core.schedule.events import (
    Burned,
    Effect,
    Event,
    Next,
    Outcome,
    Ran,
    SetWeights,
    Submit,
    Unblock,
    Wake,
)
from weftmesh.core.schedule.machine import CHARGE_MIN_S, Scheduler
from weftmesh.core.schedule.model import SLICE_S, Job, Settings, State, Turn

CLASSES = st.sampled_from(list(ServiceClass))
SLICES_S = st.floats(0.0, SLICE_S)
WEIGHTS = st.fixed_dictionaries({one: st.floats(0.5, 16.0) for one in ServiceClass})
IDS = st.integers(0, 12)
SERVICES = st.sampled_from(["", "a", "b", "c"])
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Submit, st.builds(Job, IDS, st.just("job"), CLASSES, st.floats(-1e3, 1e3), SERVICES)),
    st.builds(Next),
    st.builds(Ran, IDS, st.floats(0.0, 0.02), st.sampled_from([State.READY, State.BLOCKED, State.ENDED])),
    st.builds(Unblock, IDS),
    st.builds(Burned, SERVICES, st.floats(0.0, 20.0)),
    st.builds(SetWeights, WEIGHTS, st.just("because")),
    st.builds(Wake),
)
HISTORIES = st.lists(st.tuples(EVENTS, st.floats(-1.0, 200.0)), max_size=60)


def replayed(history: list[tuple[Event, float]]) -> list[tuple[Outcome, tuple[Effect, ...]]]:
    machine, now_s, answers = Scheduler(Settings(raised_max=2)), 0.0, []
    for event, step_s in history:
        now_s += step_s
        answers.append(machine.apply(event, now_s))
        machine.check()
    return answers


@given(HISTORIES)
def test_invariants_hold_after_any_events_and_the_same_events_give_the_same_answers(
    history: list[tuple[Event, float]],
) -> None:
    assert replayed(history) == replayed(history)


@given(st.lists(CLASSES, min_size=1, max_size=12), st.lists(SLICES_S, min_size=1, max_size=40), WEIGHTS)
def test_no_job_waits_for_longer_than_the_bound(
    jobs: list[ServiceClass], slices_s: list[float], weights: dict[ServiceClass, float]
) -> None:
    settings = Settings(weights=weights, patience_s=dict.fromkeys(ServiceClass, 0.02))
    lanes = Simulated(settings)
    since_s = {lanes.submit(one, deadline_s=float(at)): 0.0 for at, one in enumerate(jobs)}
    limits_s = {one: wait_max_s(settings, one, jobs.count(one)) + 1e-9 for one in ServiceClass}
    steps_s = itertools.cycle([*slices_s, SLICE_S])
    for _ in range(600):
        assert all(lanes.now_s - at_s <= limits_s[job.service_class] for job, at_s in since_s.items())
        run = lanes.turn(next(steps_s))
        assert run is not None
        since_s[run.job] = lanes.now_s


@given(st.lists(SLICES_S, min_size=1, max_size=40), WEIGHTS, st.lists(CLASSES, max_size=9))
def test_the_times_of_busy_classes_are_within_a_slice_of_their_weights(
    slices_s: list[float], weights: dict[ServiceClass, float], more: list[ServiceClass]
) -> None:
    lanes = Simulated(Settings(weights=weights))
    for service_class in [*ServiceClass, *more]:
        lanes.submit(service_class)
    steps_s = itertools.cycle(slices_s)
    charged_s = dict.fromkeys(ServiceClass, 0.0)
    for step_s in itertools.islice(steps_s, 400):
        run = lanes.turn(step_s)
        assert run is not None
        charged_s[run.service_class] += max(step_s, CHARGE_MIN_S)
        for one, other in itertools.combinations(ServiceClass, 2):
            apart = charged_s[one] / weights[one] - charged_s[other] / weights[other]
            assert abs(apart) <= SLICE_S / weights[one] + SLICE_S / weights[other] + 1e-9


@given(st.lists(st.tuples(CLASSES, st.floats(0.0, 10.0)), min_size=1, max_size=30))
def test_turns_of_a_class_are_in_the_order_of_deadlines_but_for_the_old(
    jobs: list[tuple[ServiceClass, float]],
) -> None:
    lanes = Simulated(Settings(patience_s=dict.fromkeys(ServiceClass, 0.05)))
    for service_class, deadline_s in jobs:
        lanes.submit(service_class, deadline_s)
    while lanes.turn(0.002, State.ENDED):
        pass
    assert len(lanes.runs) == len(jobs)
    for service_class in ServiceClass:
        of_class = [run for run in lanes.runs if run.service_class is service_class]
        by_deadline = [run.job.within_s for run in of_class if run.turn is Turn.DEADLINE]
        assert by_deadline == sorted(by_deadline)
        aged = [run for run in of_class if run.turn is Turn.AGE]
        assert all(run.waited_s > 0.05 for run in aged)


@given(st.lists(st.tuples(CLASSES, SERVICES, st.floats(0.0, 20.0)), min_size=1, max_size=40))
def test_no_job_is_lost_while_services_go_up_and_down(steps: list[tuple[ServiceClass, str, float]]) -> None:
    lanes = Simulated(Settings(hold_s=0.01, silence_s=0.05))
    for service_class, service, rate in steps:
        lanes.submit(service_class, service=service)
        lanes.machine.apply(Burned(service or "d", rate), lanes.now_s)
        lanes.turn(0.004, State.READY)
        lanes.machine.apply(Wake(), lanes.now_s)
        lanes.machine.check()
    ended = set()
    while run := lanes.turn(0.001, State.ENDED):
        ended.add(run.job.id)
    assert len(ended) == len(steps)
