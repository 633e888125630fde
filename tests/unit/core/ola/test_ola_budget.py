"""Budgets, burn rates and when a budget ends."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.ola.agreements import ppb

from weftmesh.core.ola.budget import Count, Counts, ErrorBudget, burn_rate
from weftmesh.core.ola.burn import BURN_RULES, EVENTS_MIN, Burn, BurnRule, budget_end, burns, events_needed

DAY_S = 86_400
WINDOW_S = 28 * DAY_S


def counts(bad: int, total: int) -> Counts:
    return Counts(Count(total - bad, total), Count(total - bad, total))


def test_a_budget_is_what_may_be_bad() -> None:
    budget = ErrorBudget(Count(9_995, 10_000), ppb("99.9"))
    assert (budget.allowed_bad, budget.left, budget.met) == (Fraction(10), Fraction(1, 2), True)
    assert ErrorBudget(Count(9_980, 10_000), ppb("99.9")).left == -1


def test_without_events_nothing_is_known_and_nothing_is_missed() -> None:
    budget = ErrorBudget(Count(), ppb("99.9"))
    assert (budget.attained, budget.left, budget.met) == (None, None, True)
    assert burn_rate(Count(), ppb("99.9")) is None


def test_where_nothing_may_be_bad_the_first_bad_event_misses() -> None:
    assert ErrorBudget(Count(10, 10), ppb("100")).left == 1
    spoilt = ErrorBudget(Count(9, 10), ppb("100"))
    assert (spoilt.left, spoilt.met) == (None, False)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_budget_is_met_exactly_while_something_of_it_is_left(good: int, bad: int, target_ppb: int) -> None:
    budget = ErrorBudget(Count(good, good + bad), target_ppb)
    if budget.left is not None:
        assert budget.met == (budget.left >= 0)
        assert budget.attained is not None
        assert budget.met == (budget.attained * 10**9 >= target_ppb)


def test_the_rules_spend_two_five_and_ten_percent_of_thirty_days() -> None:
    assert [rule.factor * rule.long_s / (30 * DAY_S) for rule in BURN_RULES] == [
        Fraction(2, 100),
        Fraction(5, 100),
        Fraction(10, 100),
    ]
    assert [(rule.long_s, rule.short_s) for rule in BURN_RULES] == [(3600, 300), (21_600, 1800), (259_200, 21_600)]


@pytest.mark.parametrize(
    ("long_bad", "short_bad", "burning"), [(145, 145, True), (144, 145, False), (145, 144, False), (0, 0, False)]
)
def test_both_windows_have_to_be_above_the_factor(long_bad: int, short_bad: int, burning: bool) -> None:
    assert Burn(BURN_RULES[0], ppb("99.9"), counts(long_bad, 10_000), counts(short_bad, 10_000)).burning is burning


def test_what_is_left_out_burns_only_with_everything() -> None:
    planned = Counts(Count(0, 10_000), Count(0, 0))
    one = Burn(BURN_RULES[0], ppb("99.9"), planned, planned)
    assert (one.burning, one.burning_with_everything) == (False, True)
    assert (one.rate, one.rate_with_everything) == (None, Fraction(1000))


@given(st.sampled_from(BURN_RULES), st.integers(500_000_000, 999_999_999))
def test_with_enough_events_a_single_bad_one_is_no_breach(rule: BurnRule, target_ppb: int) -> None:
    needed = events_needed(rule, target_ppb)
    assert needed >= EVENTS_MIN
    assert not Burn(rule, target_ppb, counts(1, needed), counts(1, needed)).burning
    assert not Burn(rule, target_ppb, counts(needed - 1, needed - 1), counts(1, 1)).burning, "low traffic tells nothing"


def test_rules_longer_than_the_window_are_left_out() -> None:
    seen = burns(ppb("99.9"), DAY_S, 10 * DAY_S, lambda start_s, end_s: counts(0, end_s - start_s))
    assert [one.rule.long_s for one in seen] == [3600, 21_600]
    assert [one.short.counted.total for one in seen] == [300, 1800]


def burning_at(rate: int, left: str) -> tuple[ErrorBudget, tuple[Burn, ...]]:
    spent = 100_000 * (1 - Fraction(left))
    seen = tuple(Burn(rule, ppb("99"), counts(rate * 100, 10_000), counts(0, 10_000)) for rule in BURN_RULES)
    return ErrorBudget(Count(10_000_000 - int(spent), 10_000_000), ppb("99")), seen


def test_a_budget_ends_when_the_present_rate_has_spent_it() -> None:
    found = budget_end(*burning_at(7, "0.5"), WINDOW_S, 1_000_000)
    assert found is not None
    assert (found.at_s, found.rate, found.over_s) == (1_000_000 + 2 * DAY_S, Fraction(7), 3600)


def test_a_slow_burn_does_not_end_the_budget_and_an_overspent_one_has_ended() -> None:
    assert budget_end(*burning_at(0, "0.5"), WINDOW_S, 0) is None
    assert budget_end(*burning_at(1, "1"), WINDOW_S, 0) is not None
    assert budget_end(*burning_at(1, "1.01"), WINDOW_S, 0) is None
    ended = budget_end(*burning_at(3, "-0.5"), WINDOW_S, 77)
    assert ended is not None
    assert ended.at_s == 77


def test_the_end_is_told_from_the_first_window_with_enough_events() -> None:
    few, many = counts(1, 5), counts(500, 10_000)
    seen = (Burn(BURN_RULES[0], ppb("99"), few, few), Burn(BURN_RULES[1], ppb("99"), many, few))
    budget = ErrorBudget(Count(999_000, 1_000_000), ppb("99"))
    found = budget_end(budget, seen, WINDOW_S, 0)
    assert found is not None
    assert (found.over_s, found.rate) == (21_600, Fraction(5))
    assert budget_end(budget, seen[:1], WINDOW_S, 0) is None
