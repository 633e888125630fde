"""Whole rounds: the sum is exact whoever drops out, or there is no sum."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.aggregation.rounds import Mesh, terms_for

from weftmesh.core.aggregation.messages import (
    ContributorMessage,
    KeyAdvertisement,
    MaskedInput,
    ShareUpload,
    UnmaskShares,
)
from weftmesh.core.aggregation.outcomes import RefusalReason
from weftmesh.core.aggregation.round_state import RoundStage

OUT_OF_STAGE = RefusalReason.OUT_OF_STAGE
STAGES: list[type[ContributorMessage]] = [KeyAdvertisement, ShareUpload, MaskedInput, UnmaskShares]
# (contributors, how many may be gone by masked input, how many more or instead at unmasking)
TOLERATED = [(3, 0, 1), (4, 1, 1), (5, 1, 1), (10, 3, 3), (16, 6, 6)]


def without(gone: dict[str, type[ContributorMessage]], mesh: Mesh) -> Mesh:
    """Each named contributor falls silent when it should send its message of that stage."""

    def deliver(name: str, message: ContributorMessage) -> ContributorMessage | None:
        silent_from = STAGES.index(gone[name]) if name in gone else len(STAGES)
        return message if STAGES.index(type(message)) < silent_from else None

    mesh.to_coordinator = deliver
    return mesh


@pytest.mark.parametrize("count", [3, 4, 5, 10, 16])
def test_a_round_without_losses_is_the_sum_of_all(count: int) -> None:
    mesh = Mesh(count)
    assert mesh.run() == mesh.expected() == sum(mesh.values.values())
    late = count - terms_for(count).threshold
    assert [(name, refused.reason) for name, refused in mesh.refusals] == [("coordinator", OUT_OF_STAGE)] * late
    assert all(one.round_id is None for one in mesh.contributors.values())


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("count", "before", "at_unmasking"), TOLERATED)
def test_a_round_goes_on_while_enough_remain(
    count: int, before: int, at_unmasking: int, stage: type[ContributorMessage]
) -> None:
    tolerated = at_unmasking if stage is UnmaskShares else before
    for losses in (tolerated, tolerated + 1):
        gone = dict.fromkeys([f"n{number:02}" for number in range(losses)], stage)
        mesh = without(gone, Mesh(count))
        result = mesh.run()
        if losses > tolerated:
            assert result is None
            assert mesh.stage() is RoundStage.ABANDONED
        else:
            assert result == mesh.expected()
            assert set(mesh.summed) == set(mesh.values) - (set() if stage is UnmaskShares else set(gone))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), count=st.sampled_from([3, 4, 5, 7, 10, 16]))
def test_the_sum_is_exact_for_any_pattern_of_losses(data: st.DataObject, count: int) -> None:
    silent = data.draw(st.lists(st.sampled_from([None, None, None, *STAGES]), min_size=count, max_size=count))
    gone = {f"n{number:02}": stage for number, stage in enumerate(silent) if stage is not None}
    mesh = without(gone, Mesh(count))
    result = mesh.run()
    needed = terms_for(count).needed
    active = count - sum(stage is not UnmaskShares for stage in gone.values())
    if active >= needed and count - len(gone) >= terms_for(count).threshold:
        assert result == mesh.expected()
        assert len(mesh.summed) == active
    else:
        assert result is None
