"""Many seeds in several processes, and what is told of them."""

from __future__ import annotations

import multiprocessing
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from tests.simulation.cores import CORES
from tests.simulation.simulation import Result, Simulation

PIECE = 20
"""Seeds that a process takes at once."""
TOLD = (
    "steps", "messages", "commits", "leaders", "writes done", "writes unknown", "writes refused", "reads", "power cuts",
    "power cuts within an operation", "kills", "partition", "one_way", "reset", "late or repeated messages",
    "snapshots restored", "wishes granted", "strikes", "damaged disks refused", "nodes replaced",
)  # fmt: skip
"""Counts on the first line; the rest follows."""


def play(seed: int, core: str, *, trace: bool = False) -> Result:
    """One seed on one of the cores."""
    return Simulation(seed, trace=trace, make_disk=CORES[core]).run()


def again(seed: int, core: str) -> str:
    """The command that plays a seed again."""
    return f"python -m tests.simulation --trace {seed}" + (f" --core {core}" if core != "ours" else "")


def play_many(seeds: Sequence[int], core: str, jobs: int) -> Iterator[Result]:
    """All seeds, in `jobs` processes, as they are done."""
    pieces = [seeds[at : at + PIECE] for at in range(0, len(seeds), PIECE)]
    if jobs == 1:
        yield from (play(seed, core) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = as_completed([pool.submit(partial(_play_piece, core=core), piece) for piece in pieces])
        for piece in done:
            yield from piece.result()


def _play_piece(seeds: Sequence[int], core: str) -> list[Result]:
    return [play(seed, core) for seed in seeds]


class Summary:
    """Adds up results."""

    def __init__(self, core: str) -> None:
        self.core = core
        self.violations: list[Result] = []
        self.counts: Counter[str] = Counter()
        self.profiles: Counter[str] = Counter()
        self._began_s = time.monotonic()

    def add(self, result: Result) -> None:
        """One more."""
        self.counts.update(result.counts)
        self.profiles[result.profile] += 1
        if result.violation:
            self.violations.append(result)

    @property
    def seeds(self) -> int:
        """How many there were."""
        return self.profiles.total()

    def rate(self) -> float:
        """Seeds in a second."""
        return self.seeds / max(time.monotonic() - self._began_s, 1e-9)

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"{self.seeds} seeds, {len(self.violations)} violating, {self.rate():.1f} seeds/s, core {self.core}"
        yield "profiles: " + ", ".join(f"{name} {count}" for name, count in sorted(self.profiles.items()))
        yield "counts: " + ", ".join(f"{name} {self.counts[name]}" for name in TOLD)
        others = sorted(set(self.counts) - set(TOLD))
        yield "other events: " + ", ".join(f"{name} {self.counts[name]}" for name in others)
        for result in sorted(self.violations, key=lambda result: result.seed):
            told = f"seed {result.seed} ({result.profile}): {result.violation[:300]}"
            yield f"{told}; again: {again(result.seed, self.core)}"


def first_seed_of_commit() -> int:
    """Other seeds for every commit, the same ones for the same commit."""
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False).stdout
    return int(found[:7], 16) * 1000 if found else int(time.strftime("%Y%m%d")) * 1000
