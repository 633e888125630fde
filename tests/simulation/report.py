"""Many seeds in several processes, and what is told of them."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import subprocess
import time
import traceback
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.simulation.cores import CORES
from tests.simulation.simulation import Result, Simulation

PIECE = 4
"""Seeds that a process takes at once."""
LIMIT_S = 30.0
"""Of processor time, for a seed; on a slow machine the longest takes two seconds."""
BROKE, TOO_LONG = "an unexpected exception", "takes too long"
"""Kinds of results that are no violation, and no success either."""
TOLD = (
    "steps", "messages", "commits", "leaders", "writes done", "writes unknown", "writes refused", "reads", "power cuts",
    "power cuts within an operation", "kills", "partition", "one_way", "reset", "late or repeated messages",
    "snapshots restored", "wishes granted", "strikes", "damaged disks refused", "nodes replaced",
)  # fmt: skip
"""Counts on the first line; the rest follows."""


class TooLongError(SystemExit):
    """Time is up. This kind of exception, because asyncio hands no other one on from everywhere."""


def play(seed: int, core: str, *, trace: bool = False, limit_s: float = LIMIT_S) -> Result:
    """One seed on one of the cores, in the main thread; whatever ends it is part of the result."""
    simulation, began_s = Simulation(seed, trace=trace, make_disk=CORES[core]), time.process_time()
    try:
        with _limited(limit_s):
            result = simulation.run()
    except TooLongError as error:
        result = simulation.result(TOO_LONG, f"{TOO_LONG}: more than {limit_s:g} s, {_where(error)}")
    except Exception as error:  # noqa: BLE001 - in the engine or in the simulation: it is looked into, not lost
        result = simulation.result(BROKE, f"{BROKE}: {error!r}, {_where(error)}")
    return replace(result, took_s=time.process_time() - began_s)


@contextmanager
def _limited(limit_s: float) -> Iterator[None]:
    """Interrupt what takes more processor time, and have no garbage collected meanwhile."""

    def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise TooLongError

    former = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, limit_s)
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, former)
        if collects:
            gc.enable()


def _where(error: BaseException) -> str:
    """The lines of this project that it came through last."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
    return "at " + " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[:-4:-1])


def again(seed: int, core: str) -> str:
    """The command that plays a seed again."""
    return f"python -m tests.simulation --trace {seed}" + (f" --core {core}" if core != "ours" else "")


def play_many(seeds: Sequence[int], core: str, jobs: int) -> Generator[Result, None, None]:
    """All seeds, in `jobs` processes, as they are done."""
    pieces = [seeds[at : at + PIECE] for at in range(0, len(seeds), PIECE)]
    if jobs == 1:
        yield from (play(seed, core) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            for piece in as_completed([pool.submit(partial(_play_piece, core=core), piece) for piece in pieces]):
                yield from piece.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _play_piece(seeds: Sequence[int], core: str) -> list[Result]:
    return [play(seed, core) for seed in seeds]


def tell(result: Result, core: str) -> str:
    """What was violated, and how to see it again."""
    told = f"seed {result.seed} ({result.profile}): {result.violation[:300]}"
    return f"{told}; again: {again(result.seed, core)}"


class Summary:
    """Adds up results."""

    def __init__(self, core: str) -> None:
        self.core = core
        self.violations: list[Result] = []
        self.counts: Counter[str] = Counter()
        self.profiles: Counter[str] = Counter()
        self.took_s = 0.0
        self.slowest: Result | None = None
        self._began_s = time.monotonic()

    def add(self, result: Result) -> None:
        """One more."""
        self.counts.update(result.counts)
        self.profiles[result.profile] += 1
        self.took_s += result.took_s
        self.slowest = max(self.slowest or result, result, key=lambda one: one.took_s)
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
        if self.slowest is not None:
            longest = f"{self.slowest.took_s:.1f} s, seed {self.slowest.seed}"
            yield f"{self.took_s:.0f} s of processor time; the longest {longest}"
        yield "profiles: " + ", ".join(f"{name} {count}" for name, count in sorted(self.profiles.items()))
        yield "counts: " + ", ".join(f"{name} {self.counts[name]}" for name in TOLD)
        others = sorted(set(self.counts) - set(TOLD))
        yield "other events: " + ", ".join(f"{name} {self.counts[name]}" for name in others)
        yield from (tell(result, self.core) for result in sorted(self.violations, key=lambda result: result.seed))


def first_seed_of_commit() -> int:
    """Other seeds for every commit, the same ones for the same commit."""
    root = Path(__file__).resolve().parents[2]
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False).stdout
    return int(found[:7], 16) * 1000 if found else int(time.strftime("%Y%m%d")) * 1000
