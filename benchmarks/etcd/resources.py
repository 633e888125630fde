"""What the processes of a system use: processor time and memory, as the kernel counts them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_USER_TIME: Final = 11
"""Its place in /proc/PID/stat after the name in parentheses (proc(5)); the system's time follows."""


def processor_us(pids: Iterable[int]) -> float:
    """Processor time that processes have used, in user and kernel mode; in steps of a tick, commonly 10 ms."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(field) for field in fields[_USER_TIME : _USER_TIME + 2])
    return ticks / TICKS_PER_S * 1e6


def resident_mib(pid: int) -> tuple[float, float]:
    """Resident memory of a process: all of it, and without the files it maps."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    total, anonymous = (int(status[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon"))
    return total, anonymous
