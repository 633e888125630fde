"""Run in the machine: joins a control group and takes memory there, MiB by MiB, until it has enough or is killed."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

MIB = 1024 * 1024


def main(group: str, wanted_mib: int, hold_s: float) -> None:
    """Take it, say how far it came, and keep it for a while."""
    # What runs the host's commands is spared by the kernel, and all that it starts.
    Path("/proc/self/oom_score_adj").write_text("0")
    Path(group, "cgroup.procs").write_text(str(os.getpid()))
    until_s = time.monotonic() + hold_s
    taken: list[bytearray] = []
    while time.monotonic() < until_s:
        if len(taken) < wanted_mib:
            taken.append(bytearray(b"x") * MIB)
        else:
            time.sleep(0.1)
    print(len(taken))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
