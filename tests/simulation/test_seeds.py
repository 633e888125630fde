"""Fresh random schedules for every commit, and that the simulation would notice a broken engine."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.simulation.cores import CORES
from tests.simulation.node import Node
from tests.simulation.ours import EngineCore, EngineDisk
from tests.simulation.report import BROKE, TOO_LONG, Summary, first_seed_of_commit, play, play_many, tell

SEEDS = 300
SEEDS_AT_LEAST = 40
BUDGET_S = 45.0
"""On a busy machine fewer seeds are played rather than more time taken."""
STOCK_SEEDS = 50
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.alone
@pytest.mark.timeout(600)
def test_fresh_seeds_violate_nothing() -> None:
    first, until_s = first_seed_of_commit(), time.monotonic() + BUDGET_S
    summary = Summary("ours")
    with closing(play_many(range(first, first + SEEDS), "ours", jobs=2)) as results:
        for result in results:
            summary.add(result)
            if summary.seeds >= SEEDS_AT_LEAST and time.monotonic() > until_s:
                break
    print(*summary.lines(), sep="\n")
    assert not summary.violations, "\n".join(summary.lines())
    assert summary.counts["writes done"] > summary.seeds
    assert summary.counts["reads"] > summary.seeds


def test_the_original_core_is_caught() -> None:
    kinds = (play(seed, "stock").kind for seed in range(1, STOCK_SEEDS + 1))
    assert next((kind for kind in kinds if kind not in ("", BROKE, TOO_LONG)), None) is not None


class RestlessDisk(EngineDisk):
    """Never done."""

    def boot(self, node: Node) -> EngineCore:
        for _ in itertools.count():
            node.world.stamp()
        return super().boot(node)


def test_a_seed_that_takes_too_long_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CORES, "restless", RestlessDisk)
    result = play(2, "restless", limit_s=0.05)
    assert result.kind == TOO_LONG
    assert "boot" in result.violation
    assert "--trace 2 --core restless" in tell(result, "restless")


class BrokenDisk(EngineDisk):
    """Nothing of it works."""

    def boot(self, node: Node) -> EngineCore:
        raise ValueError(f"{node.name} has no disk")


def test_what_breaks_the_simulation_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CORES, "broken", BrokenDisk)
    result = play(2, "broken")
    assert result.kind == BROKE
    assert "A has no disk" in result.violation
    assert "--trace 2 --core broken" in tell(result, "broken")


def test_a_seed_is_the_same_run_in_every_process() -> None:
    code = (
        "from tests.simulation.report import play\n"
        "for seed in (3, 5, 10):\n"
        "    result = play(seed, 'ours')\n"
        "    print(result.ended_s, sorted(result.counts.items()), result.violation)\n"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(runs) == 1
