"""The result for people."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any, Final

from benchmarks.etcd.race import OURS, PEER, Result
from benchmarks.etcd.rows import UNITS

HIGHER_IS_BETTER: Final = frozenset({"1/s"})


def progress(row: str, system: str, figures: Mapping[str, float]) -> str:
    """One measured row of one system."""
    values = "  ".join(f"{metric} {value:,.2f} {UNITS[metric]}" for metric, value in figures.items())
    return f"{system:8}  {row:40}  {values}"


def table(results: Iterable[Result], machine: Mapping[str, Any], disk: str) -> str:
    """Medians, their ratio, and between which ratios the rounds were."""
    lines = [
        f"{machine['processor'] or machine['system']}, {machine['cores']} cores, load {machine['load_1m']} before, "
        f"Python {machine['python']}, data on {disk}",
        "",
        f"{'row':41} {'metric':22} {OURS:>10} {PEER:>10} {'unit':4} {'ratio':>6}  rounds  better",
    ]
    for result in results:
        for row in result.rows():
            ratios = result.ratios(row.metric)
            spread = f"{min(ratios):.2f}-{max(ratios):.2f}" if ratios else "-"
            lines.append(
                f"{result.row:41} {row.metric:22} {row.value:>10,.2f} {row.peer_value or 0:>10,.2f} {row.unit:4} "
                f"{'-' if row.ratio is None else f'{row.ratio:.2f}':>6}  {spread:11}  {_better(row.unit, ratios)}"
            )
    return "\n".join(lines)


def _better(unit: str, ratios: list[float]) -> str:
    """Who is ahead; nobody when the rounds disagree."""
    if not ratios:
        return "-"
    if min(ratios) <= 1 <= max(ratios):
        return "even" if len(ratios) > 1 else "-"
    return OURS if (statistics.median(ratios) > 1) == (unit in HIGHER_IS_BETTER) else PEER
