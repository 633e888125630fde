"""Run in the machine: busy processes in each of some control groups; prints the processor time that each group got.

One for each processor and group: a group that has nothing to run on a processor gives its share there away.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

SETTLE_S = 2.0


def spin(group: str, processor: int, end_s: float) -> None:
    """Compute in a control group until a moment."""
    Path(group, "cgroup.procs").write_text(str(os.getpid()))
    os.sched_setaffinity(0, {processor})
    while time.monotonic() < end_s:
        pass


def used_s(group: str) -> float:
    """The processor time of a control group since it was made, in seconds."""
    statistics = dict(line.split() for line in Path(group, "cpu.stat").read_text().splitlines())
    return int(statistics["usage_usec"]) / 1e6


def main(duration_s: float, groups: list[str]) -> None:
    """Start them, and look twice at what the groups used, while all are busy."""
    begin_s = time.monotonic() + SETTLE_S
    for group in groups:
        for processor in os.sched_getaffinity(0):
            if os.fork() == 0:
                spin(group, processor, begin_s + duration_s + SETTLE_S)
                os._exit(0)
    time.sleep(max(0.0, begin_s - time.monotonic()))
    before_s = [used_s(group) for group in groups]
    time.sleep(duration_s)
    print(json.dumps([used_s(group) - before for group, before in zip(groups, before_s, strict=True)]))


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
