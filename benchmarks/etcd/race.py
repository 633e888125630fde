"""The order of the race, and what becomes of its figures.

Only one system runs at any time: it is started fresh, measured and stopped before the other one is started. A stopped
cluster takes no processor time and has no timers that expire, which a suspended one has; and an empty one of either
kind is the same in every round. Rounds alternate (A B A B ...), so that both see the same drift of the machine.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.etcd.rows import UNITS, Figures, Group
from benchmarks.etcd.systems import racing
from benchmarks.report import Row

PEER: Final = "etcd"
OURS: Final = "weftmesh"


@dataclass(slots=True)
class Result:
    """The figures of one row, a list of rounds for each system."""

    row: str
    rounds: dict[str, list[Figures]] = field(default_factory=lambda: {OURS: [], PEER: []})

    def median(self, system: str, metric: str) -> float:
        """Over the rounds."""
        return statistics.median(figures[metric] for figures in self.rounds[system])

    def ratios(self, metric: str) -> list[float]:
        """Ours / etcd's, round by round; rounds without a measurable value are left out."""
        pairs = zip(self.rounds[OURS], self.rounds[PEER], strict=True)
        return [ours[metric] / peer[metric] for ours, peer in pairs if peer[metric] > 0]

    def rows(self) -> list[Row]:
        """One for each metric, of the medians."""
        return [self._row(metric) for metric in self.rounds[OURS][0]]

    def _row(self, metric: str) -> Row:
        ours, peer = self.median(OURS, metric), self.median(PEER, metric)
        ratio = round(ours / peer, 3) if peer > 0 else None
        return Row(self.row, metric, round(ours, 3), UNITS[metric], PEER, round(peer, 3), ratio)


async def race(
    groups: Sequence[Group], rounds: int, directory: Path, on_figures: Callable[[str, str, Figures], None]
) -> Mapping[str, Result]:
    """Measure every group, round by round; the results by the rows' names.

    Args:
        groups: what to measure.
        rounds: how often; a group may need fewer.
        directory: on a disk, for the data of both systems; what is made there is removed.
        on_figures: gets each row's name, the system and the figures as they come.
    """
    results = {row.name: Result(row.name) for group in groups for row in group.rows}
    for number in range(rounds):
        for group in groups:
            if group.rounds_max is None or number < group.rounds_max:
                for system in (OURS, PEER):
                    await _measure(group, system, directory, results, on_figures)
    return results


async def _measure(
    group: Group,
    system: str,
    directory: Path,
    results: Mapping[str, Result],
    on_figures: Callable[[str, str, Figures], None],
) -> None:
    with _scratch(directory) as scratch:
        async with racing(system, scratch) as running:
            for row in group.rows:
                figures = await row.measure(running)
                results[row.name].rounds[system].append(figures)
                on_figures(row.name, system, figures)


@contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="race-", dir=directory))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
