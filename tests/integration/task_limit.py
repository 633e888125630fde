"""A limit of tasks on a process that runs: the kernel starts no further thread or child for it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

HIERARCHIES = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))
"""Of version 1, and of version 2."""


@contextmanager
def no_further_task(pid: int) -> Iterator[None]:
    """Nothing new can be started by a process, as at its unit's TasksMax; skips the test where that cannot be had."""
    if os.geteuid() != 0:
        resource.prlimit(pid, resource.RLIMIT_NPROC, (1, 1))  # does not bind root
        yield
        return
    hierarchy = next((one for one in HIERARCHIES if (one / "cgroup.procs").exists()), None)
    if hierarchy is None:
        pytest.skip("root is bound by a cgroup alone, and none are mounted")
    group = hierarchy / f"weftmesh-test-{pid}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"root is bound by a cgroup alone, and none can be made: {error}")
    try:
        if not (group / "pids.max").exists():
            pytest.skip(f"{hierarchy} does not count tasks")
        home = _home_of(pid, hierarchy)
        (group / "cgroup.procs").write_text(str(pid))
        try:
            (group / "pids.max").write_text("1")
            yield
        finally:
            with suppress(ProcessLookupError):  # it may have ended
                (home / "cgroup.procs").write_text(str(pid))
    finally:
        group.rmdir()


def _home_of(pid: int, hierarchy: Path) -> Path:
    """The group that a process is in."""
    controller = "pids" if hierarchy.name == "pids" else ""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == controller:
            return hierarchy / path.lstrip("/")
    return hierarchy
