"""Routing policies on simulated scenarios; writes build/bench/routing.json.

Run as `python -m benchmarks.routing [--first 1001] [--seeds 20] [--family NAME] [--policy NAME]`. Seeds 1 to 20 are the
tuning set, on which the constants of `weftmesh.core.routing` were chosen; all others are held out. A seed that nobody
ran before draws scenarios that nobody saw before.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from benchmarks import report
from benchmarks.routing import rtt, speed
from benchmarks.routing.compare import BASELINE, POLICIES, Figures, compare
from benchmarks.routing.families import FAMILIES
from benchmarks.routing.figures import Results, lines, rows

HELD_OUT: Final = 1001
SEEDS: Final = 20
PROCESSES: Final = 2


def main() -> None:
    """Simulate, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=HELD_OUT, help="the first seed")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many; at least 20 for the record")
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES), help="only this one")
    parser.add_argument("--policy", action="append", choices=sorted(POLICIES), help="only this one; writes nothing")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    options = parser.parse_args()
    wanted = options.family or list(FAMILIES)
    if "rtt-replay" in wanted and not rtt.available():
        _progress(f"rtt-replay is left out: {rtt.DATA.name} is not there; WEFTMESH_LATENCY names another place")
        wanted = [one for one in wanted if one != "rtt-replay"]
    names = list(POLICIES) if options.policy is None else list(dict.fromkeys([BASELINE, *options.policy]))
    measured_on = report.machine()
    results = _simulate(wanted, range(options.first, options.first + options.seeds), names, options.processes)
    if options.policy is not None:
        print("\n".join(lines(results, summary=False)))
        return
    timing = speed.rows()
    print("\n".join(lines(results)))
    print("\n".join(f"{one.row:38} {one.metric:14} {one.value:8.1f} {one.unit}" for one in timing))
    print(f"\n{report.write('routing', rows(results) + timing, measured_on)}")


def _simulate(wanted: list[str], seeds: range, names: list[str], processes: int) -> Results:
    jobs = [(family, seed) for family in wanted for seed in seeds]
    results: dict[str, list[dict[str, Figures]]] = {family: [] for family in wanted}
    with ProcessPoolExecutor(processes) as pool:
        done = pool.map(compare, *zip(*jobs, strict=True), [names] * len(jobs))
        for (family, seed), figures in zip(jobs, done, strict=True):
            results[family].append(figures)
            _progress(f"{family} {seed}")
    return results


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
