"""More nodes than a sum may have: whom a round asks follows from its id, and the log holds the limit."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.learning.facts import founded, opening, round_id

from weftmesh.core.learning.drawing import drawn
from weftmesh.core.learning.model import Limits
from weftmesh.core.learning.outcomes import Reason

MANY = tuple(f"n{number:03}" for number in range(Limits.CONTRIBUTORS + 44))
ids = st.binary(min_size=16, max_size=16)


@given(ids, st.permutations(MANY[:20]), st.integers(1, 25))
def test_a_draw_follows_from_the_id_and_the_nodes_alone(id_: bytes, nodes: list[str], most: int) -> None:
    found = drawn(id_, nodes, most)
    assert found == drawn(id_, sorted(nodes), most)
    assert found == tuple(sorted(set(found)))
    assert len(found) == min(most, 20)


@given(ids, st.sampled_from(MANY[:20]))
def test_a_node_that_leaves_makes_room_for_one_and_moves_nobody_else(id_: bytes, gone: str) -> None:
    before, after = set(drawn(id_, MANY[:20], 10)), set(drawn(id_, set(MANY[:20]) - {gone}, 10))
    assert before - after <= {gone}
    assert len(after - before) <= 1


def test_every_node_is_drawn_as_often_as_any_other() -> None:
    rng, rounds, most = Random(1), 2_000, 10
    counts = Counter(node for _ in range(rounds) for node in drawn(rng.randbytes(16), MANY[:40], most))
    expected = rounds * most / 40
    # Seven standard deviations of a binomial count: of 40 nodes none is outside by chance.
    assert max(abs(counts[node] - expected) for node in MANY[:40]) < 7 * (expected * 0.75) ** 0.5


def test_the_log_takes_a_whole_draw_and_refuses_more() -> None:
    mesh = founded()
    mesh.refused(opening(1, nodes=MANY), Reason.INVALID_VALUE, f"a sum has at most {Limits.CONTRIBUTORS}")
    mesh.done(opening(1, nodes=drawn(round_id(1), MANY)))
