"""Real-time priority for this process, and how to allow it where it is refused."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from typing import Final

PRIORITY: Final = 10
"""Of 1 to 99: before all ordinary processes, after what the kernel does for itself."""
RUNAWAY_S: Final = 0.2
"""Processor time without ever waiting, after which the kernel ends a real-time process (RLIMIT_RTTIME)."""
HOW_TO_ALLOW: Final = (
    f"allow it with LimitRTPRIO={PRIORITY} in the systemd unit of this process, or CAP_SYS_NICE; "
    "with the v1 cpu controller its cgroup needs a share of cpu.rt_runtime_us as well"
)


@dataclass(frozen=True, slots=True)
class Priority:
    """What this process runs under; `why` says why it is not real time, and what to do."""

    real_time: bool
    why: str = ""


def take_real_time(runaway_s: float = RUNAWAY_S) -> Priority:
    """Run this process under SCHED_RR from now on; its own children do not inherit it.

    Args:
        runaway_s: if it then uses so much processor time without waiting once, it is ended by SIGXCPU, so that a loop
            without end cannot take a processor away from the machine.
    """
    runaway_us = int(runaway_s * 1e6)
    try:
        resource.setrlimit(resource.RLIMIT_RTTIME, (runaway_us, 2 * runaway_us))
        _raise_soft_limit()
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
    except (OSError, ValueError) as error:
        return Priority(False, f"SCHED_RR was refused ({error}); {HOW_TO_ALLOW}")
    return Priority(True)


def _raise_soft_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_RTPRIO)
    allowed = hard if hard != resource.RLIM_INFINITY else PRIORITY
    if soft != resource.RLIM_INFINITY and soft < min(PRIORITY, allowed):
        resource.setrlimit(resource.RLIMIT_RTPRIO, (min(PRIORITY, allowed), hard))
