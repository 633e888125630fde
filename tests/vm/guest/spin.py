"""Run in the machine: one busy process in each of some control groups, on one processor; prints what each got of it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

PROCESSOR = 0
SETTLE_S = 2.0


def spin(group: str, begin_s: float, end_s: float) -> float:
    """Compute in a control group; returns the processor time between two moments, in seconds."""
    Path(group, "cgroup.procs").write_text(str(os.getpid()))
    os.sched_setaffinity(0, {PROCESSOR})
    while time.monotonic() < begin_s:
        pass
    before_s = time.process_time()
    while time.monotonic() < end_s:
        pass
    return time.process_time() - before_s


def main(duration_s: float, groups: list[str]) -> None:
    """Start one process for each group, and collect what they say."""
    begin_s = time.monotonic() + SETTLE_S
    ends = []
    for group in groups:
        end, mine = os.pipe()
        if os.fork() == 0:
            os.write(mine, str(spin(group, begin_s, begin_s + duration_s)).encode())
            os._exit(0)
        os.close(mine)
        ends.append(os.fdopen(end))
    print(json.dumps([float(end.read()) for end in ends]))


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
