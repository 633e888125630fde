"""Effort forecasts on 16 projects' test rows; writes build/bench/learning.json.

Run as `python -m benchmarks.learning --in-process [--cold-start]`; minutes. `--validation` prints how the settings were
chosen instead, from train and validation rows only. The issues are not part of the repository; see
`benchmarks/learning/dataset.py`.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import report
from benchmarks.learning import dataset
from benchmarks.learning.cold_start import cold_starts
from benchmarks.learning.comparison import compare
from benchmarks.learning.selection import select
from benchmarks.learning.table import cold_start_lines, cold_start_rows, comparison_lines, comparison_rows


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--in-process", action="store_true", help="16 nodes in this process")
    what.add_argument("--validation", action="store_true", help="how the settings were chosen")
    parser.add_argument("--cold-start", action="store_true", help="also leave each project out in turn")
    options = parser.parse_args()
    if not dataset.available():
        sys.exit(f"{dataset.DATA} is not there: the issues are not part of the repository")
    measured_on = report.machine()
    projects = dataset.load()
    if options.validation:
        select(projects, _say)
        return
    compared = compare(projects, _progress)
    rows = comparison_rows(compared)
    _say("\n".join(comparison_lines(compared)))
    if options.cold_start:
        newcomers = cold_starts(projects, _progress)
        rows += cold_start_rows(newcomers)
        _say("\n".join(cold_start_lines(newcomers)))
    _say(f"\n{report.write('learning', rows, measured_on)}")


def _say(line: str) -> None:
    print(line, flush=True)


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
