"""Run in the machine: joins a control group and forks until the kernel refuses; keeps what it got for a while."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

FORKS_MAX = 10_000


def main(group: str, hold_s: float) -> None:
    """Fork, and print what the kernel said and what the control group counts."""
    Path(group, "cgroup.procs").write_text(str(os.getpid()))
    children: list[int] = []
    refusal = 0
    try:
        while len(children) < FORKS_MAX:
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
    except OSError as error:
        refusal = error.errno or 0
    counted = {name: Path(group, name).read_text().strip() for name in ("pids.current", "pids.max", "pids.events")}
    time.sleep(hold_s)
    for child in children:
        os.kill(child, signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)
    print(json.dumps({"children": len(children), "errno": refusal, **counted}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
