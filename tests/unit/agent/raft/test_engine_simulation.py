"""Random schedules against the hardened core; a failing seed prints the line that plays it again with a trace."""

from __future__ import annotations

import pytest
from tests.fakes.raft_simulator import Simulation

SEEDS = 60


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_invariant_breaks(seed: int) -> None:
    simulation = Simulation(seed).run()
    assert any(write.outcome == "ok" for write in simulation.writes)


def test_the_same_seed_is_the_same_run() -> None:
    first, again = Simulation(7).run(), Simulation(7).run()
    assert first.sequence == again.sequence
    assert first.world.now_s == again.world.now_s
