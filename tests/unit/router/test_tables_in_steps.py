"""Tables that are looked at and changed in steps: callers see what was before, then all of what comes after."""

from __future__ import annotations

from tests.unit.router.agreed_routes import Bench, agreement, wanted
from tests.unit.router.test_tables import picks

from weftmesh.core.routing.steps import whole


def failing(endpoints: int = 4) -> Bench:
    """Tables of which one endpoint will be ejected with the next look."""
    bench = Bench(agreement(endpoints=endpoints))
    for _ in range(20):
        bench.report("e0", ok=False)
    return bench


def test_a_look_in_steps_shows_when_it_is_over() -> None:
    bench = failing()
    before = bench.tables.rows("pay")
    for _ in bench.tables.evaluate_in_steps("pay"):
        assert bench.tables.rows("pay") is before
    assert bench.weights()[0] == 0.0


def test_a_look_gives_way_to_what_agreements_change_and_comes_again() -> None:
    bench = failing()
    looking, changing = bench.tables.evaluate_in_steps("pay"), bench.tables.want_in_steps(wanted(agreement()))
    next(looking)
    next(changing)
    assert list(looking) == []
    assert len(bench.tables.rows("pay")) == 4
    whole(changing)
    assert len(bench.weights()) == 3
    bench.pass_time(0.5)
    assert bench.weights()[0] == 0.0


def test_a_look_that_agreements_overtook_comes_to_nothing() -> None:
    bench = failing()
    looking = bench.tables.evaluate_in_steps("pay")
    for _ in range(4 + 1):
        next(looking)  # endpoints are looked at one by one, then it decides
    bench.want(agreement())
    decided = bench.tables.decided
    whole(looking)
    assert bench.tables.decided == decided
    assert set(picks(bench)) <= {"e0", "e1", "e2"}


def test_a_route_that_went_during_a_look_stays_gone() -> None:
    bench = failing()
    looking = bench.tables.evaluate_in_steps("pay")
    next(looking)
    bench.want()
    whole(looking)
    assert bench.tables.names() == ()


def test_a_change_that_was_cut_short_is_made_with_the_next_word() -> None:
    bench = Bench(agreement(endpoints=4))
    changing = bench.tables.want_in_steps(wanted(agreement()))
    next(changing)
    changing.close()
    assert len(bench.weights()) == len(bench.tables.wanted("pay").endpoints) == 4
    bench.want(agreement())
    assert len(bench.weights()) == len(bench.tables.wanted("pay").endpoints) == 3


def test_a_table_is_kept_as_it_was_at_the_first_step() -> None:
    bench = failing(endpoints=100)
    version = bench.tables.version("pay")
    keeping = bench.tables.kept("pay")
    next(keeping)
    bench.tables.evaluate("pay")
    assert bench.tables.version("pay") > version
    kept = whole(keeping)
    assert kept.version == version
    assert all(row.weight > 0.0 for row in kept.rows)
