"""The race against etcd: its arithmetic, and the smallest round of it with the real programs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import report
from benchmarks.etcd import rows, table
from benchmarks.etcd.generator import Load
from benchmarks.etcd.processes import BenchmarkError
from benchmarks.etcd.race import Result, race
from benchmarks.etcd.systems import check_disk
from benchmarks.etcd.watcher import delays_us

PROGRAMS = ("etcd", "h2load", "haproxy")


@pytest.fixture
def disk() -> Iterator[Path]:
    """A directory for the data of both systems, which has to be on a disk."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        reason = f"not installed: {', '.join(absent)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    report.DIRECTORY.mkdir(parents=True, exist_ok=True)
    try:
        check_disk(report.DIRECTORY)
    except BenchmarkError as error:
        pytest.skip(str(error))
    yield report.DIRECTORY
    assert not list(report.DIRECTORY.glob("race-*")), "the race left files behind"


def test_a_delay_is_until_the_first_event_that_covers_the_write() -> None:
    arrivals = [(5, 1_000), (7, 1_500), (9, 4_000)]
    moments = [(5, 400), (6, 400), (7, 1_600), (9, 1_000)]
    assert delays_us(moments, arrivals) == [600, 1_100, 0, 3_000]


def test_a_result_is_the_medians_and_their_ratio() -> None:
    result = Result("row")
    result.rounds["weftmesh"] = [{"rate": 10.0}, {"rate": 40.0}, {"rate": 20.0}]
    result.rounds["etcd"] = [{"rate": 10.0}, {"rate": 10.0}, {"rate": 50.0}]
    (row,) = result.rows()
    assert (row.value, row.peer, row.peer_value, row.ratio) == (20.0, "etcd", 10.0, 2.0)
    assert result.ratios("rate") == [1.0, 4.0, 0.4]
    printed = table.table([result], report.machine(), "disk")
    assert "0.40-4.00" in printed
    assert "even" in printed


def test_a_file_system_in_memory_is_refused() -> None:
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_mount():
        pytest.skip("there is no file system in memory here")
    with pytest.raises(BenchmarkError, match="fsync"):
        check_disk(shared_memory)


@pytest.mark.integration
@pytest.mark.timeout(300)  # 20 s on a quiet machine
async def test_both_systems_are_measured_and_stopped(disk: Path) -> None:
    seen: list[tuple[str, str]] = []
    watched = rows.watch(Load("update", 1, 0.3, warm_up_s=0.2), "1 write at a time")
    group = rows.Group("smoke", [rows.raw(4, 0.3), watched])
    results = await race([group], 1, disk, lambda row, system, _: seen.append((row, system)))
    names = ["raw unary, 4 in flight", "watch, 1 write at a time"]
    assert seen == [(name, system) for system in ("weftmesh", "etcd") for name in names]
    for name, metric in zip(names, ("rate", "begin_to_watcher_p50"), strict=True):
        (row,) = [row for row in results[name].rows() if row.metric == metric]
        assert row.value > 0
        assert row.peer_value is not None
        assert row.peer_value > 0
