"""Availability over dependencies: the arithmetic, its order, circles and unknown names."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.ola.agreements import agreement, hard, p99, ppb, soft

from weftmesh.core.ola.dependencies import UnknownName, dependency_graph
from weftmesh.core.ola.dependencies_bounds import Availability, availability, series_time_us
from weftmesh.core.ola.model import Agreement


def known(*agreements: Agreement) -> dict[str, Agreement]:
    return {one.name: one for one in agreements}


def available(*agreements: Agreement) -> Availability:
    return availability(known(*agreements), dependency_graph(known(*agreements)))


def bound(*agreements: Agreement) -> Fraction:
    """Of the first."""
    return available(*agreements).bounds[agreements[0].name].at_most


def test_dependencies_in_series_multiply() -> None:
    top = agreement("top", "", hard("a"), hard("b"))
    assert bound(top, agreement("a", "99.9"), agreement("b", "99.5")) == Fraction(999, 1000) * Fraction(995, 1000)


def test_a_soft_dependency_does_not_count() -> None:
    assert bound(agreement("top", "", hard("a"), soft("b")), agreement("a", "99.9"), agreement("b", "1")) == Fraction(
        999, 1000
    )
    assert "top" not in available(agreement("top", "", soft("b")), agreement("b", "1")).bounds


def test_of_alternatives_one_is_enough() -> None:
    assert bound(agreement("top", "", hard("a", "b")), agreement("a", "99"), agreement("b", "90")) == Fraction(
        999, 1000
    )


def test_a_cache_answers_its_share_and_the_rest_needs_the_dependency() -> None:
    assert bound(agreement("top", "", hard("a", cached="90")), agreement("a", "99")) == Fraction(999, 1000)


def test_a_cache_may_stand_before_alternatives() -> None:
    top = agreement("top", "", hard("a", "b", cached="50"))
    assert bound(top, agreement("a", "90"), agreement("b", "90")) == Fraction(995, 1000)


def test_alternatives_are_no_better_than_what_each_of_them_needs() -> None:
    top = agreement("top", "", hard("a", "b"))
    dns = agreement("dns", "99")
    found = available(top, agreement("a", "99", hard("dns")), agreement("b", "99", hard("dns")), dns).bounds["top"]
    assert found.at_most == Fraction(99, 100)
    assert found.terms[0].shared == "dns"


def test_what_is_behind_a_cache_is_not_shared_by_alternatives() -> None:
    top = agreement("top", "", hard("a", "b"))
    either = [agreement(name, "90", hard("dns", cached="99")) for name in ("a", "b")]
    assert bound(top, *either, agreement("dns", "50")) == Fraction(99, 100)


def test_a_promise_above_its_own_bound_is_not_believed() -> None:
    top = agreement("top", "", hard("a"))
    assert bound(top, agreement("a", "99.99", hard("db")), agreement("db", "99")) == Fraction(99, 100)


def test_a_promise_below_its_bound_is_what_dependents_get() -> None:
    top = agreement("top", "", hard("a"))
    assert bound(top, agreement("a", "95", hard("db")), agreement("db", "99")) == Fraction(95, 100)


def test_a_ladder_of_shared_dependencies_takes_no_time() -> None:
    """Unrounded, its fractions would have 2 to the 300 digits."""
    steps = [agreement("s000", "99.9")]
    for level in range(1, 300):
        below = steps[-1].name
        sides = [agreement(f"{side}{level:03d}", "", hard(below)) for side in "lr"]
        steps += [*sides, agreement(f"s{level:03d}", "", *(hard(one.name) for one in sides))]
    found = available(*steps)
    assert 0 < found.expected["s299"] < Fraction(1, 1000)


def test_a_chain_may_be_longer_than_the_stack() -> None:
    chain = [agreement("c0", "99.9999")] + [agreement(f"c{at}", "", hard(f"c{at - 1}")) for at in range(1, 3000)]
    assert available(*chain).expected["c2999"] == Fraction(999_999, 1_000_000)


def test_a_circle_is_named_as_a_path_from_its_least_name() -> None:
    found = dependency_graph(
        known(agreement("b", "", hard("c")), agreement("c", "", hard("a")), agreement("a", "", hard("b")))
    )
    assert found.cycles == (("a", "b", "c"),)


def test_an_agreement_that_needs_itself_is_a_circle() -> None:
    assert dependency_graph(known(agreement("a", "", hard("a")))).cycles == (("a",),)


def test_agreements_that_all_need_each_other_are_one_circle_in_little_time_and_memory() -> None:
    names = [f"n{at:03d}" for at in range(400)]
    every = [agreement(name, "99", *(hard(other) for other in names if other != name)) for name in names]
    graph = dependency_graph(known(*every))
    assert graph.cycles == (("n000", "n001"),)
    assert graph.circular == set(names)


def test_a_soft_dependency_makes_no_circle() -> None:
    assert not dependency_graph(known(agreement("a", "", hard("b")), agreement("b", "", soft("a")))).cycles


def test_around_a_circle_promises_are_believed() -> None:
    found = available(agreement("top", "", hard("a")), agreement("a", "99", hard("b")), agreement("b", "98", hard("a")))
    assert found.bounds["top"].at_most == Fraction(99, 100)
    assert set(found.bounds) == {"top"}


def test_names_that_nobody_has_are_found_also_behind_soft_dependencies() -> None:
    found = dependency_graph(known(agreement("a", "", soft("x"), hard("b", "y")), agreement("b")))
    assert found.unknown == (UnknownName("a", 0, "x"), UnknownName("a", 1, "y"))


def test_the_shortest_way_to_a_change_is_told() -> None:
    graph = dependency_graph(
        known(agreement("a", "", hard("b"), hard("db")), agreement("b", "", hard("db")), agreement("db"))
    )
    assert graph.paths_to(["db", "nobody"]) == {"a": ("a", "db"), "b": ("b", "db")}


def test_response_times_of_the_same_percentile_add_up() -> None:
    slow = agreement("slow", objectives=(p99(40),))
    agreements = known(
        slow, agreement("quick", objectives=(p99(5),)), agreement("none"), agreement("far", objectives=(p99(90),))
    )
    top = agreement(
        "top", "", hard("slow"), hard("far", "quick"), hard("none"), soft("far"), hard("far", cached="99.5")
    )
    assert series_time_us(top, agreements, ppb("99")) == {"slow": 40_000, "quick": 5000}


NAMES = [f"n{at}" for at in range(7)]


@st.composite
def meshes(draw: st.DrawFn) -> list[Agreement]:
    """Agreements that need each other at random, circles and unknown names included."""
    found = []
    for name in draw(st.permutations(NAMES)):
        alternatives = st.lists(st.sampled_from([*NAMES, "nobody"]), min_size=1, max_size=3, unique=True).map(tuple)
        needs = draw(st.lists(st.tuples(alternatives, st.sampled_from(["0", "50"])), max_size=3))
        promised = draw(st.sampled_from(["", "90", "99", "99.9"]))
        found.append(agreement(name, promised, *(hard(*any_of, cached=cached) for any_of, cached in needs)))
    return found


@settings(max_examples=40, deadline=None)
@given(meshes(), st.randoms(use_true_random=False))
def test_the_order_of_agreements_does_not_matter(mesh: list[Agreement], random: object) -> None:
    other = list(mesh)
    random.shuffle(other)  # type: ignore[attr-defined]
    assert dependency_graph(known(*mesh)) == dependency_graph(known(*other))
    assert available(*mesh).expected == available(*other).expected


@settings(max_examples=40, deadline=None)
@given(meshes())
def test_everything_comes_after_what_it_needs_unless_there_is_a_circle(mesh: list[Agreement]) -> None:
    graph = dependency_graph(known(*mesh))
    assert sorted(graph.order) == NAMES
    late = [
        (name, one) for at, name in enumerate(graph.order) for one in graph.needs[name] if one not in graph.order[:at]
    ]
    assert bool(late) == bool(graph.cycles)
    reached = {name: set(graph.needs[name]) for name in NAMES}
    for through in NAMES:
        for name in NAMES:
            reached[name] |= reached[through] if through in reached[name] else set()
    assert graph.circular == {name for name in NAMES if name in reached[name]}
    groups = {frozenset(one for one in reached[name] if name in reached[one]) for name in graph.circular}
    assert sorted(min(group) for group in groups) == [cycle[0] for cycle in graph.cycles]
    for cycle in graph.cycles:
        assert all(one in graph.needs[name] for name, one in zip(cycle, (*cycle[1:], cycle[0]), strict=True))


@settings(max_examples=40, deadline=None)
@given(meshes())
def test_no_one_can_expect_more_than_its_promise_or_its_bound(mesh: list[Agreement]) -> None:
    found = available(*mesh)
    for name, bound_of_it in found.bounds.items():
        assert 0 <= bound_of_it.at_most <= 1
        assert found.expected[name] <= bound_of_it.at_most + Fraction(1, 10**17)
