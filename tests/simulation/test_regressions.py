"""Every schedule that once exposed something holds."""

from __future__ import annotations

import pytest
from tests.simulation.mutants import hunt
from tests.simulation.regressions import REGRESSIONS, Regression


@pytest.mark.parametrize("regression", REGRESSIONS, ids=lambda regression: f"{regression.profile}-{regression.seed}")
def test_it_holds(regression: Regression) -> None:
    assert not regression.play().violation


@pytest.mark.parametrize("name", ["acknowledges before it is durable", "votes without comparing the logs"])
def test_the_simulation_notices_a_planted_fault(name: str) -> None:
    """All of them: `make simulate-mutants`."""
    assert hunt(name, seeds=40).caught_by
