"""Where one request goes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.routing.routes import feedback, rng

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.routing.choosing import SAMPLE, Chooser
from weftmesh.core.routing.feedback import EndpointFeedback, Load

THRESHOLD_S = 0.15
NOW_S = 1.05


def counts(
    endpoints: list[EndpointFeedback], requests: int = 200, admission: list[float] | None = None
) -> Counter[int]:
    """Where requests go that are answered before the next one is sent."""
    chooser = Chooser(endpoints, THRESHOLD_S, rng())
    if admission is not None:
        chooser.admit(admission)
    return Counter(chooser.choose(NOW_S) for _ in range(requests))


def test_equal_endpoints_get_equal_parts() -> None:
    assert min(counts(feedback(4), 400).values()) > 60


def test_requests_spread_over_workers_before_they_queue() -> None:
    endpoints = feedback(3, capacity=2.0)
    chooser = Chooser(endpoints, THRESHOLD_S, rng())
    for _ in range(6):
        endpoints[chooser.choose(NOW_S)].sent()
    assert [one.in_flight for one in endpoints] == [2, 2, 2]


def test_a_slow_endpoint_is_left_alone_while_others_have_room() -> None:
    endpoints = feedback(3)
    endpoints[0].sent()
    endpoints[0].answered(1.0, 0.1, True, 0.1, Load(0.1, 0.0, 4.0))
    assert counts(endpoints)[0] == 0


def test_a_failing_endpoint_is_left_alone_however_fast_it_fails() -> None:
    endpoints = feedback(3)
    for at in range(5):
        endpoints[1].sent()
        endpoints[1].answered(1.0 + at / 1000, 0.0005, False, None, None)
    assert counts(endpoints)[1] == 0


def test_a_full_endpoint_is_better_than_one_that_fails() -> None:
    endpoints = feedback(2)
    for at in range(8):
        endpoints[0].sent()
        endpoints[0].answered(1.0 + at / 1000, 0.0005, False, None, None)
    for _ in range(6):
        endpoints[1].sent()
    assert counts(endpoints)[0] == 0


def test_one_that_was_slow_long_ago_is_tried_again() -> None:
    endpoints = feedback(2)
    endpoints[0].sent()
    endpoints[0].answered(1.0, 0.08, True, 0.08, Load(0.08, 0.0, 4.0))
    chooser = Chooser(endpoints, THRESHOLD_S, rng())
    soon = Counter(chooser.choose(1.5) for _ in range(100))
    late = Counter(chooser.choose(60.0) for _ in range(100))
    assert soon[0] == 0
    assert late[0] > 20


def test_closed_endpoints_get_nothing_and_warming_ones_little() -> None:
    endpoints = feedback(3)
    assert counts(endpoints, admission=[0.0, 1.0, 1.0])[0] == 0
    assert counts(endpoints, admission=[0.2, 1.0, 1.0])[0] == 0
    for one in endpoints[1:]:
        for _ in range(40):
            one.sent()
    assert counts(endpoints, admission=[0.2, 1.0, 1.0])[0] > 0


def test_where_all_are_closed_all_are_open() -> None:
    assert len(counts(feedback(3), admission=[0.0, 0.0, 0.0])) == 3


def test_of_many_endpoints_a_sample_is_looked_at_and_the_slowest_are_avoided() -> None:
    endpoints = feedback(100)
    for one in endpoints[50:]:
        one.sent()
        one.answered(1.0, 0.1, True, 0.1, Load(0.1, 0.0, 4.0))
    chosen = counts(endpoints, 300)
    assert sum(count for at, count in chosen.items() if at >= 50) <= 300 * 0.5**SAMPLE * 5
    assert len(chosen) > 40


def test_a_route_without_endpoints_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="nothing to choose from"):
        Chooser([], THRESHOLD_S, rng())


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.floats(0.0, 2.0)), max_size=60), st.integers(0, 9))
def test_any_history_leaves_a_choice(history: list[tuple[int, bool, float]], seed: int) -> None:
    endpoints = feedback(5)
    chooser, now_s = Chooser(endpoints, THRESHOLD_S, rng(seed)), 1.0
    for at, ok, latency_s in history:
        now_s += 0.05
        endpoints[at].sent()
        endpoints[at].answered(now_s, latency_s, ok, latency_s / 2, Load(latency_s, at, 2.0))
        assert 0 <= chooser.choose(now_s) < 5
