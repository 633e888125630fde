"""The table of a run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from tests.faults.runner import Tally

console = Console(highlight=False, soft_wrap=True)

COLUMNS = (
    "fault",
    "rounds",
    "acknowledged",
    "lost",
    "reads",
    "not linearizable",
    "events",
    "gaps",
    "twice",
    "resume s, median",
    "max",
    "",
)


@dataclass
class Row:
    """One fault's outcome."""

    name: str
    tally: Tally | None = None
    skipped: str = ""
    failed: bool = False
    took_s: float = 0.0

    @property
    def broken(self) -> bool:
        """Whether a promise was broken, or the fault did not get its turn."""
        return self.failed or (self.tally is not None and bool(self.tally.violations))

    @property
    def outcome(self) -> str:
        """In a word."""
        if self.skipped:
            return f"skipped: {self.skipped}"
        return "BROKEN" if self.broken else "held"

    def line(self) -> str:
        """For the time until the table is there."""
        if self.tally is None:
            return f"{self.name}: {self.outcome}"
        further = [*self.tally.notes, *self.tally.violations]
        if self.tally.total.resyncs or self.tally.total.folded:
            further.append(f"{self.tally.total.resyncs} listings anew, {self.tally.total.folded} folded events")
        head = f"{self.name}: {self.outcome}, {self.tally.rounds} rounds, {self.took_s:.0f} s"
        return "\n    ".join([head, *further])

    def cells(self) -> list[str]:
        """For the table."""
        if self.tally is None:
            return [self.name, "0", *["-"] * (len(COLUMNS) - 3), self.outcome]
        total, resume_s = self.tally.total, self.tally.resume_s
        figures = (self.tally.rounds, total.acknowledged, total.lost, total.reads, total.not_linearizable)
        watched = (total.events, total.gaps, total.duplicates)
        times = (f"{statistics.median(resume_s):.2f}", f"{max(resume_s):.2f}") if resume_s else ("-", "-")
        return [self.name, *map(str, figures), *map(str, watched), *times, self.outcome]


def print_table(rows: Sequence[Row], took_s: float) -> None:
    """Print all rows."""
    table = Table(*COLUMNS, title=f"Faults of {took_s:.0f} s", title_justify="left")
    for number in range(1, len(COLUMNS) - 1):
        table.columns[number].justify = "right"
    for row in rows:
        table.add_row(*row.cells())
    console.print(table)
