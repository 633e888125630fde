"""What a node takes when nobody asks it for anything, in a mesh of three."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from tests.platform.conftest import NODES, install
from tests.platform.machine import Machine
from tests.platform.meshes import found_mesh

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

RESIDENT_MIB_MAX = {"weftmesh-agent": 80.0, "weftmesh-coordinator": 50.0}
"""The goal is 60 and 50."""
OF_A_CORE_MAX = 0.02
"""All of a node's processes together."""
QUIET_S = 20.0
MEASURED_S = 30.0


def resident_mib(machine: Machine, unit: str) -> float:
    status = machine.run("cat", f"/proc/{machine.pid_of(unit)}/status").stdout
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def computed_s(machine: Machine) -> float:
    return sum(int(machine.shown(unit, "CPUUsageNSec")["CPUUsageNSec"]) for unit in RESIDENT_MIB_MAX) / 1e9


def test_an_idle_node_takes_little(machines: list[Machine], packages: Path) -> None:
    for machine in machines:
        install(machine, packages, "weftmesh")
    found_mesh(machines)
    time.sleep(QUIET_S)
    before_s, began_s = [computed_s(machine) for machine in machines], time.monotonic()
    time.sleep(MEASURED_S)
    after_s, took_s = [computed_s(machine) for machine in machines], time.monotonic() - began_s
    shares = [(after - before) / took_s for before, after in zip(before_s, after_s, strict=True)]
    resident = [{unit: resident_mib(machine, unit) for unit in RESIDENT_MIB_MAX} for machine in machines]
    print(f"{NODES} idle nodes, MiB: {resident}; of a core: {shares}")
    assert [unit for one in resident for unit, mib in one.items() if mib > RESIDENT_MIB_MAX[unit]] == []
    assert max(shares) <= OF_A_CORE_MAX
