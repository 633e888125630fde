"""Metrics that every process has, under the names that Prometheus' own client libraries use; from /proc/self."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from platform import python_version
from typing import Final

from weftmesh.runtime.metrics.model import Exposition, Kind, Metric
from weftmesh.runtime.version import VERSION

BUILD: Final = Metric(
    "weftmesh_build", Kind.INFO, "What runs: the release and the Python version.", labels=("version", "python")
)
CPU: Final = Metric("process_cpu_seconds", Kind.COUNTER, "Processor time, of users and of the kernel.", "seconds")
RSS: Final = Metric("process_resident_memory_bytes", Kind.GAUGE, "Resident memory.", "bytes")
VIRTUAL: Final = Metric("process_virtual_memory_bytes", Kind.GAUGE, "Virtual memory.", "bytes")
OPEN_FDS: Final = Metric("process_open_fds", Kind.GAUGE, "File descriptors in use.")
MAX_FDS: Final = Metric("process_max_fds", Kind.GAUGE, "File descriptors that may be in use.")
START_TIME: Final = Metric("process_start_time_seconds", Kind.GAUGE, "When the process began, Unix time.", "seconds")
PROCESS_METRICS: Final = (BUILD, CPU, RSS, VIRTUAL, OPEN_FDS, MAX_FDS, START_TIME)

_PAGE_BYTES: Final = resource.getpagesize()
_START_FIELD: Final = 19
"""Of /proc/PID/stat behind the name, which ends with the last parenthesis: ticks since boot (proc(5), field 22)."""


class ProcessCollector:
    """Collects them; a figure that this system does not show is left out."""

    def __init__(self) -> None:
        self._python = python_version()
        self._began_s = _began_s()

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        out.add(BUILD, 1, VERSION, self._python)
        used = resource.getrusage(resource.RUSAGE_SELF)
        out.add(CPU, used.ru_utime + used.ru_stime)
        out.add(START_TIME, self._began_s)
        out.add(MAX_FDS, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        try:
            pages, resident = Path("/proc/self/statm").read_text().split()[:2]
            open_fds = len(os.listdir("/proc/self/fd"))
        except OSError:
            return
        out.add(VIRTUAL, int(pages) * _PAGE_BYTES)
        out.add(RSS, int(resident) * _PAGE_BYTES)
        out.add(OPEN_FDS, open_fds)


def _began_s() -> float:
    """Unix time; of this call where the system does not say."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        since_boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    except OSError:
        return time.time()
    return time.time() - (since_boot_s - int(fields[_START_FIELD]) / os.sysconf("SC_CLK_TCK"))
