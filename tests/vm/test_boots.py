"""A machine on which the mesh is enabled: what comes up by itself."""

from __future__ import annotations

import time

import pytest
from tests.vm import mesh
from tests.vm.load import tasks_of
from tests.vm.machine import Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(7_200)]

TASKS = ("made before the reboot", "made through the second node", "made through the third node")


def test_after_a_boot_every_unit_is_ready(machine: Machine) -> None:
    assert machine.run("stat", "-fc", "%T", "/sys/fs/cgroup").stdout.strip() == "cgroup2fs"
    ready_s = {}
    for unit in (*map(mesh.unit, mesh.NODES), "weftmesh-coordinator.service"):
        machine.wait_until(unit, "ActiveState", "active")
        shown = machine.shown(unit, "ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic", "NRestarts")
        ready_s[unit] = (
            int(shown["ActiveEnterTimestampMonotonic"]) - int(shown["ExecMainStartTimestampMonotonic"])
        ) / 1e6
        assert shown["NRestarts"] == "0", machine.run("journalctl", "--no-pager", "-u", unit).stdout
    print(f"\nstart to READY, s: {ready_s}")
    assert machine.run("systemctl", "--failed", "--no-legend", "--plain").stdout == ""


def test_after_a_reboot_the_mesh_is_back_with_all_tasks(machine: Machine) -> None:
    for number, title in zip(mesh.NODES, TASKS, strict=True):
        mesh.weftmesh(machine, number, "task", "add", "LOAD", title)
    before = tasks_of(machine, 1)
    assert set(TASKS) <= set(before.values())

    began_s = time.monotonic()
    machine.run("systemctl", "reboot", "--no-block")
    booted_s = machine.wait_for_boot() - began_s
    mesh.settle(machine)
    settled_s = time.monotonic() - began_s
    for number in mesh.NODES:
        assert tasks_of(machine, number) == before
    print(f"\nreboot: taking commands again after {booted_s:.0f} s, a quorum after {settled_s:.0f} s,", end=" ")
    print(f"all {len(before)} tasks read from every node after {time.monotonic() - began_s:.0f} s")
