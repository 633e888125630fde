"""CPU time of one small write, stage by stage, in one process without a network; writes build/bench/write-path.json.

Run as `python -m benchmarks.write_path [--writes N] [--repeats N]`. A write makes a task of 256 bytes, or sets its
status. Every figure is the best of its repeats, in microseconds of process time a write: neighbours on the machine add
to it, nothing takes away.
"""

from __future__ import annotations

import argparse
import gc
from typing import Final

from benchmarks import report
from benchmarks.report import Row
from benchmarks.write_path.stages import stages
from weftmesh.agent.__main__ import GC_THRESHOLDS

WRITES: Final = 4_096
REPEATS: Final = 7


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writes", type=int, default=WRITES, help="in one repeat")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="the best counts")
    parser.add_argument("--only", default="", help="stages whose name contains this")
    options = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    rows = []
    for stage in stages(options.writes):
        if options.only not in stage.name:
            continue
        best_us = stage.best_us(options.repeats)
        print(f"{stage.name:<42} {best_us:8.2f} us", flush=True)
        rows.append(Row(stage.name, "cpu", round(best_us, 2), "us"))
    if not options.only:
        print(f"\n{report.write('write-path', rows, report.machine())}")


if __name__ == "__main__":
    main()
