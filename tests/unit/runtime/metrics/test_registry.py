"""What one part of the metrics trips over does not hide what the others tell."""

from __future__ import annotations

import os
import resource

from weftmesh.runtime.metrics.model import Exposition, Kind, Metric
from weftmesh.runtime.metrics.process import PROCESS_METRICS, ProcessCollector
from weftmesh.runtime.metrics.registry import Registry
from weftmesh.runtime.metrics.text import OPENMETRICS, written

ONE = Metric("weft_one", Kind.GAUGE, "one")


def fails(_out: Exposition) -> None:
    raise KeyError("gone")


def test_a_collector_that_fails_is_counted_and_the_rest_is_there() -> None:
    registry = Registry()
    registry.add(fails)
    registry.add(lambda out: out.add(ONE, 1))
    registry.collect()
    lines = written(registry.collect(), OPENMETRICS).decode().splitlines()
    assert "weft_one 1" in lines
    assert "weftmesh_metrics_failures_total 2" in lines


def test_a_process_tells_what_the_kernel_knows_of_it() -> None:
    out = Exposition()
    ProcessCollector()(out)
    found = {metric: value for metric, series in out.families() for value in series.values()}
    assert set(found) == set(PROCESS_METRICS)
    by_name = {metric.name: value for metric, value in found.items()}
    assert by_name["process_max_fds"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    began_s = by_name["process_start_time_seconds"]
    assert isinstance(began_s, float)
    boot = os.stat("/proc/self").st_ctime  # the kernel's own account of the same moment, to within its ticks
    assert abs(began_s - boot) < 60
