"""What a node learns of an endpoint from answers and probes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.routing.routes import endpoints

from weftmesh.core.routing.feedback import DecayingMean, EndpointFeedback, Load, lower_bound

ONE = endpoints(1)[0]


def known() -> EndpointFeedback:
    return EndpointFeedback(ONE, 0.0)


def answer(one: EndpointFeedback, now_s: float, latency_s: float = 0.02, ok: bool = True) -> None:
    one.sent()
    one.answered(now_s, latency_s, ok, 0.018 if ok else None, None)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), min_size=1))
def test_a_decaying_mean_lies_between_its_samples(samples: list[tuple[float, float]]) -> None:
    mean = DecayingMean(2.0)
    for now_s, sample in samples:
        mean.add(now_s, sample)
    values = [sample for _, sample in samples]
    assert min(values) - 1e-9 <= mean.value <= max(values) + 1e-9


def test_a_decaying_mean_forgets_by_time_not_by_number() -> None:
    mean = DecayingMean(1.0)
    mean.add(0.0, 1.0)
    mean.add(math.log(3.0), 0.0)
    assert math.isclose(mean.value, 0.25)


@given(st.integers(0, 50), st.integers(1, 500))
def test_the_lower_bound_is_below_the_share(bad: int, more: int) -> None:
    bound = lower_bound(bad, bad + more)
    assert 0.0 <= bound <= bad / (bad + more)


def test_the_lower_bound_rises_with_the_number_of_samples() -> None:
    assert lower_bound(5, 10) < lower_bound(50, 100) < 0.5


def test_errors_are_noticed_within_a_few_requests_and_forgotten_within_a_minute() -> None:
    one = known()
    for at in range(5):
        answer(one, 1.0 + at / 10, ok=False)
    assert one.bad_lower > 0.3
    assert one.refresh(60.0) < 0.01


def test_an_answer_that_was_held_up_on_the_way_counts_as_bad() -> None:
    one = known()
    for at in range(20):
        answer(one, at / 10)
    assert one.refresh(2.0) < 0.01
    for at in range(5):
        answer(one, 2.0 + at / 10, latency_s=0.25)
    assert one.refresh(2.5) > 0.05


def test_a_long_way_is_not_a_bad_one() -> None:
    one = known()
    for at in range(50):
        answer(one, at / 10, latency_s=0.4)
    assert one.refresh(5.0) < 0.01


def test_what_an_endpoint_says_of_itself_is_taken_over_without_this_nodes_own_requests() -> None:
    one = known()
    one.sent()
    one.sent()
    one.answered(1.0, 0.03, True, 0.02, Load(0.021, 5.0, 8.0))
    assert (one.service_s, one.capacity, one.in_flight, one.others) == (0.021, 8.0, 1, 4.0)


def test_without_word_from_the_endpoint_its_working_time_is_what_the_shortest_way_leaves() -> None:
    one = known()
    one.probed(0.5, 0.005, True, None)
    for at in range(200):
        one.sent()
        one.answered(1.0 + at / 50, 0.035, True, None, None)
    assert math.isclose(one.service_s, 0.030, rel_tol=0.05)


def test_three_probes_without_an_answer_in_a_row_are_death_and_one_answer_is_life() -> None:
    one = known()
    for at in range(3):
        assert one.reading(at).alive
        one.probed(float(at), None, False, None)
    assert not one.reading(3.0).alive
    answer(one, 3.1)
    assert one.reading(3.2).alive


def test_a_request_that_the_caller_gave_up_says_nothing() -> None:
    one = known()
    before = one.reading(1.0)
    one.sent()
    one.abandoned()
    assert one.reading(1.0) == before


def test_what_an_endpoint_says_that_cannot_be_is_not_believed() -> None:
    one = known()
    for load in (Load(math.nan, 1.0, 4.0), Load(0.01, -1.0, 4.0), Load(0.01, 1.0, 0.0), Load(math.inf, math.nan, 1.0)):
        one.probed(1.0, 0.001, True, load)
    assert math.isfinite(one.service_s)
    assert (one.others, one.capacity) == (0.0, 4.0)


def test_counted_requests_weigh_as_single_ones_do() -> None:
    one, other = known(), known()
    one.counted(1.0, good=3, bad=5)
    for at in range(8):
        other.probed(1.0, 0.001 if at < 3 else None, at < 3, None)
    assert one.refresh(1.0) == pytest.approx(other.refresh(1.0))
    assert one.service_s == other.service_s, "nobody said how long they took"


def test_no_lie_about_load_outlives_the_next_true_words() -> None:
    one = known()
    for at in range(5):
        one.probed(at / 10, 0.001, True, Load(1e302, 1e308, 4.0))
        one.probed(at / 10, 0.001, True, Load(0.02, 1.0, 1e308))
    for at in range(60):
        one.probed(1.0 + at, 0.001, True, Load(0.02, 1.0, 4.0))
    reading = one.reading(61.0)
    assert math.isclose(reading.service_s, 0.02)
    assert math.isclose(reading.in_flight, 1.0)
