"""Effort forecasts on 16 projects' test rows; writes build/bench/learning.json.

Run as `python -m benchmarks.learning [--rounds 60] [--voters 5] [--cold-start] [--superlink 3]`: 16 node processes with
a project each, minutes. With `--in-process` the nodes are loops of this process. `--superlink` adds rounds of a few
nodes beside Flower's own SuperLink and SuperNodes on the same job. `--validation` prints how the settings were chosen
instead, from train and validation rows only. The issues are not part of the repository; see
`benchmarks/learning/dataset.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from statistics import median
from typing import Final

from benchmarks import report
from benchmarks.learning import dataset, superlink
from benchmarks.learning.cold_start import cold_starts
from benchmarks.learning.comparison import compare
from benchmarks.learning.over_processes import lines_of, rows_of, train
from benchmarks.learning.selection import select
from benchmarks.learning.table import cold_start_lines, cold_start_rows, comparison_lines, comparison_rows
from weftmesh.core.forecast.averaging import ROUNDS

SUPERLINK_ROUNDS: Final = 5


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--in-process", action="store_true", help="16 nodes in this process")
    what.add_argument("--validation", action="store_true", help="how the settings were chosen")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="over processes; 60 is what the product trains")
    parser.add_argument("--voters", type=int, default=5, help="of the 16 nodes; the others observe")
    parser.add_argument("--cold-start", action="store_true", help="also leave each project out in turn")
    parser.add_argument("--superlink", type=int, default=0, metavar="N", help="N nodes beside Flower's own servers")
    options = parser.parse_args()
    if not dataset.available():
        sys.exit(f"{dataset.DATA} is not there: the issues are not part of the repository")
    measured_on = report.machine()
    projects = dataset.load()
    if options.validation:
        select(projects, _say)
        return
    over_mesh = None if options.in_process else asyncio.run(train(options.rounds, options.voters, _progress))
    rows = []
    if over_mesh is not None:
        rows += rows_of(over_mesh)
        _say(lines_of(over_mesh))
    compared = compare(projects, _progress, None if over_mesh is None else over_mesh.model)
    rows += comparison_rows(compared)
    _say("\n".join(comparison_lines(compared)))
    if options.cold_start:
        newcomers = cold_starts(projects, _progress)
        rows += cold_start_rows(newcomers)
        _say("\n".join(cold_start_lines(newcomers)))
    if options.superlink:
        rows += _beside_superlink(options.superlink)
    _say(f"\n{report.write('learning', rows, measured_on)}")


def _beside_superlink(nodes: int) -> list[report.Row]:
    """The same job over our mesh and over Flower's servers, one after the other."""
    ours = asyncio.run(train(SUPERLINK_ROUNDS, nodes, _progress, nodes_max=nodes))
    theirs = superlink.superlink_rounds(nodes, SUPERLINK_ROUNDS, _progress)
    _say(f"round of {nodes} nodes over our mesh: median {median(ours.secure_s):.3f} s\n{superlink.lines_of(theirs)}")
    return superlink.rows_of(theirs, ours.secure_s)


def _say(line: str) -> None:
    print(line, flush=True)


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
