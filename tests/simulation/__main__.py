"""Command line: see `--help`."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.cores import CORES
from tests.simulation.report import Summary, play, play_many, tell

PROGRESS_EVERY = 100


def main() -> int:
    """Play seeds; returns 1 when an invariant was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first one")
    parser.add_argument("--core", choices=sorted(CORES), default="ours", help="the engine under test")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--stop-after", type=int, default=20, help="violations before the run is ended")
    parser.add_argument("--trace", type=int, metavar="SEED", help="play one seed and print what happens")
    options = parser.parse_args()
    if options.trace is not None:
        result = play(options.trace, options.core, trace=True)
        print(f"{result.profile}: {result.violation or 'no violation'}")
        return 1 if result.violation else 0
    summary = Summary(options.core)
    for result in play_many(range(options.first, options.first + options.seeds), options.core, options.jobs):
        summary.add(result)
        if result.violation:
            print(tell(result, options.core), flush=True)
        if summary.seeds % PROGRESS_EVERY == 0:
            print(f"{summary.seeds} of {options.seeds}, {summary.rate():.1f} seeds/s", flush=True)
        if len(summary.violations) >= options.stop_after:
            break
    for line in summary.lines():
        print(line)
    return 1 if summary.violations else 0


if __name__ == "__main__":
    sys.exit(main())
