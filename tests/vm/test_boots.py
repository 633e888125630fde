"""A machine on which the mesh is enabled: what comes up by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.vm import mesh
from tests.vm.conftest import running
from tests.vm.kernel import Kernel
from tests.vm.load import tasks_of
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(7_200)]

THREE = pytest.param(
    mesh.NODES,
    marks=pytest.mark.skipif(
        "VM_THREE" not in os.environ,
        reason="three nodes on an emulated processor, with VM_THREE=1 on an idle machine",
    ),
)
TASKS = ("made before the reboot", "made through the second node", "made through the third node")


@pytest.fixture(scope="module", params=[mesh.ALONE, THREE], ids=["one", "three"])
def nodes(request: pytest.FixtureRequest) -> Sequence[int]:
    """The nodes of the mesh."""
    found: Sequence[int] = request.param
    return found


@pytest.fixture(scope="module")
def machine(
    nodes: Sequence[int],
    request: pytest.FixtureRequest,
    debian_kernel: Kernel,
    shared: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Machine]:
    """The machine with a mesh of these nodes."""
    founded: Path = request.getfixturevalue("founded_alone" if nodes == mesh.ALONE else "founded")
    with running(founded, nodes, debian_kernel, shared, tmp_path_factory.mktemp("machine")) as machine:
        yield machine


def test_after_a_boot_every_unit_is_ready(machine: Machine, nodes: Sequence[int]) -> None:
    assert machine.run("stat", "-fc", "%T", "/sys/fs/cgroup").stdout.strip() == "cgroup2fs"
    ready_s = {}
    for unit in (*map(mesh.unit, nodes), "weftmesh-coordinator.service"):
        machine.wait_until(unit, "ActiveState", "active")
        shown = machine.shown(unit, "ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic", "NRestarts")
        ready_s[unit] = (
            int(shown["ActiveEnterTimestampMonotonic"]) - int(shown["ExecMainStartTimestampMonotonic"])
        ) / 1e6
        assert shown["NRestarts"] == "0", machine.run("journalctl", "--no-pager", "-u", unit).stdout
    print(f"\nstart to READY, s: {ready_s}")
    assert machine.run("systemctl", "--failed", "--no-legend", "--plain").stdout == ""


def test_after_a_reboot_the_mesh_is_back_with_all_tasks(machine: Machine, nodes: Sequence[int]) -> None:
    titles = TASKS[: len(nodes)]
    for number, title in zip(nodes, titles, strict=True):
        mesh.weftmesh(machine, number, "task", "add", "LOAD", title)
    before = tasks_of(machine, 1)
    assert set(titles) <= set(before.values())

    began_s = time.monotonic()
    machine.run("systemctl", "reboot", "--no-block")
    booted_s = machine.wait_for_boot() - began_s
    mesh.settle(machine, nodes)
    settled_s = time.monotonic() - began_s
    for number in nodes:
        assert tasks_of(machine, number) == before
    print(f"\nreboot: taking commands again after {booted_s:.0f} s, a quorum after {settled_s:.0f} s,", end=" ")
    print(f"all {len(before)} tasks read from every node after {time.monotonic() - began_s:.0f} s")
