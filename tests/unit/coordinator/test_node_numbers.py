from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.coordinator.node_numbers import NODES_MAX, RESERVED, NodeNumbers, number_of
from weftmesh.core.errors import InvalidInputError

KNOWN = 6_101_969_955_050_385_338

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=63)


def test_numbers_never_change() -> None:
    assert number_of("node1") == KNOWN


@given(st.sets(names, max_size=40))
def test_a_number_leads_back_to_its_name(nodes: set[str]) -> None:
    numbers = NodeNumbers(nodes)
    assert {numbers.name(one) for one in numbers.numbers()} == nodes
    assert numbers.numbers() == sorted(number_of(node) for node in nodes)
    assert all(0 < number < 2**63 for number in numbers.numbers())


def test_two_names_with_one_number_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="'a' and 'b' have one number") as caught:
        NodeNumbers(["a", "b"], number=lambda _: 77)
    assert caught.value.reason == "NODE_NUMBER_TAKEN"


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="have one number"):
        NodeNumbers(["a", "a"])


@pytest.mark.parametrize("number", sorted(RESERVED))
def test_a_reserved_number_is_refused(number: int) -> None:
    with pytest.raises(InvalidInputError, match="reserved"):
        NodeNumbers(["a"], number=lambda _: number)


def test_a_number_of_nobody_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no node of this round"):
        NodeNumbers(["a"]).name(5)


def test_too_many_nodes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="more than"):
        NodeNumbers(str(one) for one in range(NODES_MAX + 1))
