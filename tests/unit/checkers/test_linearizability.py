"""Histories whose verdict is known, made ones that are sound, and the same with one lie in them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.checkers.linearizability import Operation, UndecidedError, check, check_keys


def read(result: object, invoked: float, returned: float | None, process: str = "r") -> Operation:
    return Operation(process, "read", None, result, invoked, returned)


def write(value: object, invoked: float, returned: float | None, process: str = "w") -> Operation:
    return Operation(process, "write", value, None, invoked, returned)


def cas(expected: object, new: object, result: bool | None, invoked: float, returned: float | None) -> Operation:
    return Operation("c", "cas", (expected, new), result, invoked, returned)


GOOD = {
    "nothing happened": [],
    "one after the other": [write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7)],
    "a read beside a write may see either": [write(1, 0, 10), read(0, 1, 2), read(1, 3, 4)],
    "concurrent writes in the order that the reads tell": [write(1, 0, 10), write(2, 0, 10), read(2, 11, 12)],
    "equal times are concurrent": [write(1, 0, 1), read(0, 1, 2)],
    "a cas that swaps and one that does not": [cas(0, 1, True, 0, 1), cas(0, 2, False, 2, 3), read(1, 4, 5)],
    "a write of unknown outcome never happened": [write(1, 0, None), read(0, 5, 6), read(0, 7, 8)],
    "a write of unknown outcome happened late": [write(1, 0, None), read(0, 5, 6), read(1, 7, 8)],
    "a cas of unknown outcome happened": [cas(0, 1, None, 0, None), read(1, 5, 6)],
    "two unknown ones, one upon the other": [write(1, 0, None), cas(1, 2, None, 0, None), read(2, 5, 6)],
    "a failed cas tells of an unknown write": [write(1, 0, None), cas(0, 2, False, 5, 6), read(1, 7, 8)],
    "an unanswered read says nothing": [read(None, 0, None), write(1, 1, 2)],
    "a write of what was there already": [write(0, 0, 5), write(1, 0, 5), read(0, 6, 7)],
    "an unknown cas is used up before an unknown write": [
        write(1, 0, None), cas(0, 1, None, 0, None), read(1, 1, 2), write(2, 3, 4), read(1, 5, 6),
    ],
    "two unknown writes of one value": [
        write(1, 0, None), write(1, 0, None), read(1, 1, 2), write(2, 3, 4), read(1, 5, 6),
    ],
}  # fmt: skip
BAD = {
    "a stale read": [write(1, 0, 1), read(0, 2, 3)],
    "a lost write": [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)],
    "a value from nowhere": [write(1, 0, 1), read(7, 2, 3)],
    "reads go back": [write(1, 0, 10), read(1, 1, 2), read(0, 3, 4)],
    "two readers see two orders": [
        write(1, 0, 20), write(2, 0, 20), read(1, 1, 2), read(2, 3, 4), read(1, 5, 6), read(2, 7, 8),
    ],
    "two swaps from one value": [cas(0, 1, True, 0, 10), cas(0, 2, True, 0, 10)],
    "a refused cas that nothing explains": [cas(0, 1, False, 0, 1)],
    "an unknown write before it was asked for": [read(1, 0, 1), write(1, 2, None)],
    "an unknown write takes effect once": [write(1, 0, None), read(1, 1, 2), write(2, 3, 4), read(1, 5, 6)],
    "an unknown cas cannot swap from what never was": [cas(5, 1, None, 0, None), read(1, 1, 2)],
    "an unknown write does not outlive its reader": [write(1, 0, None), read(1, 1, 2), read(0, 3, 4)],
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_sound_history_is_accepted(name: str) -> None:
    assert check(GOOD[name], 0) is None


@pytest.mark.parametrize("name", BAD)
def test_an_unsound_history_is_refused(name: str) -> None:
    violation = check(BAD[name], 0)
    assert violation is not None
    assert violation.stuck
    assert violation.explained < violation.total == sum(1 for one in BAD[name] if one.returned is not None)


def test_the_violation_names_what_does_not_fit() -> None:
    lie = read(0, 4, 5)
    violation = check([write(1, 0, 1), read(1, 2, 3), lie, read(1, 6, 7)], 0)
    assert violation is not None
    assert violation.stuck == (lie,)
    assert violation.value == 1
    assert "2 of 4 operations explained" in str(violation)


def test_keys_are_checked_by_themselves() -> None:
    assert list(check_keys({"good": GOOD["one after the other"], "bad": BAD["a stale read"]}, 0)) == ["bad"]


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="returned before"):
        check([write(1, 2, 1)], 0)


def sound_history(rng: random.Random, operations: int, clients: int, unknown: float) -> list[Operation]:
    """Operations that took effect at a moment between call and return, told in any order."""
    history: list[Operation] = []
    free = [0.0] * clients
    now, value = 0.0, 0
    for number in range(1, operations + 1):
        client = rng.randrange(clients)
        invoked = max(free[client], now - rng.random() * 3)
        now = max(invoked, now) + rng.random() * 0.1
        free[client] = now + rng.random() * 3
        answered = free[client] if rng.random() >= unknown else None
        kind = rng.choice(("read", "write", "cas"))
        if kind == "read":
            history.append(read(value, invoked, answered))
        elif kind == "write":
            took_effect = answered is not None or rng.random() < 0.5
            history.append(write(number, invoked, answered))
            value = number if took_effect else value
        else:
            expected = value if rng.random() < 0.6 else number - 1
            swaps = expected == value
            history.append(cas(expected, number, swaps if answered is not None else None, invoked, answered))
            value = number if swaps else value
    rng.shuffle(history)
    return history


def with_a_lie(history: Sequence[Operation], rng: random.Random) -> list[Operation]:
    """One read in the second half answers with what was overwritten long before."""
    reads = [at for at, one in enumerate(history) if one.kind == "read" and one.returned is not None]
    late = sorted(reads, key=lambda at: history[at].invoked)[len(reads) // 2 :]
    lied = list(history)
    at = rng.choice(late)
    lied[at] = replace(lied[at], result=-1)
    return lied


@pytest.mark.parametrize("seed", range(5))
def test_a_thousand_operations_of_sixteen_clients(seed: int) -> None:
    rng = random.Random(seed)
    history = sound_history(rng, operations=1000, clients=16, unknown=0.03)
    assert check(history, 0) is None
    assert check(with_a_lie(history, rng), 0) is not None


def by_brute_force(history: Sequence[Operation]) -> bool:
    """The definition: some order of some completion of the history is a sequential run."""
    known = [one for one in history if one.returned is not None]
    maybe = [one for one in history if one.returned is None]
    chosen = itertools.chain.from_iterable(itertools.combinations(maybe, size) for size in range(len(maybe) + 1))
    return any(is_run(order) for extra in chosen for order in itertools.permutations([*known, *extra]))


def is_run(order: Sequence[Operation]) -> bool:
    for at, one in enumerate(order):
        if any(other.returned is not None and other.returned < one.invoked for other in order[at + 1 :]):
            return False
    value: object = 0
    for one in order:
        if one.kind == "read" and one.returned is not None and one.result != value:
            return False
        swaps = one.kind == "cas" and one.argument[0] == value
        if one.kind == "cas" and one.returned is not None and one.result != swaps:
            return False
        value = one.argument if one.kind == "write" else one.argument[1] if swaps else value
    return True


VALUES = st.integers(0, 2)


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    invoked = draw(st.integers(0, 8))
    returned = draw(st.none() | st.integers(invoked, 10))
    match draw(st.sampled_from(("read", "write", "cas"))):
        case "read":
            return read(draw(VALUES), invoked, returned)
        case "write":
            return write(draw(VALUES), invoked, returned)
        case _:
            return cas(draw(VALUES), draw(VALUES), draw(st.booleans()), invoked, returned)


@settings(max_examples=300, deadline=None)
@given(st.lists(operations(), max_size=5))
def test_it_agrees_with_the_definition(history: list[Operation]) -> None:
    assert (check(history, 0) is None) == by_brute_force(history)


@pytest.mark.parametrize("seed", range(5))
def test_most_outcomes_may_be_unknown(seed: int) -> None:
    rng = random.Random(seed)
    history = sound_history(rng, operations=200, clients=50, unknown=0.5)
    assert check(history, 0, limit=20_000) is None
    assert check(with_a_lie(history, rng), 0, limit=20_000) is not None


def test_what_is_not_decided_is_no_success() -> None:
    with pytest.raises(UndecidedError):
        check(sound_history(random.Random(1), operations=100, clients=10, unknown=0.1), 0, limit=10)


@st.composite
def distinct_operations(draw: st.DrawFn) -> list[Operation]:
    """Each write has a value of its own, as in the histories that are recorded."""
    drawn = draw(st.lists(operations(), max_size=5))
    told = st.integers(0, len(drawn))
    history: list[Operation] = []
    for number, one in enumerate(drawn, 1):
        match one.kind:
            case "read":
                history.append(replace(one, result=draw(told)))
            case "write":
                history.append(replace(one, argument=number))
            case _:
                history.append(replace(one, argument=(draw(told), number)))
    return history


@settings(max_examples=300, deadline=None)
@given(distinct_operations())
def test_it_agrees_with_the_definition_where_values_are_distinct(history: list[Operation]) -> None:
    assert (check(history, 0) is None) == by_brute_force(history)
