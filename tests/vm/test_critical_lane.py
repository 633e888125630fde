"""The router's critical lane under the packaged unit: real-time priority without a capability."""

from __future__ import annotations

import json
import re
import time

import pytest
from tests.vm import mesh
from tests.vm.machine import PROCESSORS, Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(3_600)]

ROUTER = "weftmesh-router.service"
SERVICE = """
apiVersion: weftmesh/v1
kind: OLA
metadata: {name: board}
spec:
  provider: team-board
  consumer: team-shop
  service: board
  class: critical
  window: 28d
  objectives: {uptime: 99.9}
  probes: [{kind: tcp, every: 200ms, timeout: 100ms}]
  endpoints: [{name: node2, address: "127.0.0.1:7460"}]
"""
LANE_TIMEOUT_S = 300.0
STARTS_MIN = 100
BUSY = "while :; do :; done"


def critical_lane(machine: Machine) -> dict[str, object]:
    lanes = json.loads(machine.run("weftmesh", "--json", "--timeout", "120", "lanes").out)
    found: dict[str, object] = lanes.get("critical", {})
    return found


def test_it_takes_sched_rr_and_starts_on_time_on_a_full_machine(machine: Machine) -> None:
    machine.wait_until(ROUTER, "ActiveState", "active")
    machine.write("/srv/board.yaml", SERVICE)
    mesh.weftmesh(machine, 1, "ola", "apply", "/srv/board.yaml")
    busy = [f"busy-{number}.service" for number in range(2 * PROCESSORS)]
    for unit in busy:
        machine.run("systemd-run", f"--unit={unit}", "--quiet", "--collect", "sh", "-c", BUSY)
    deadline = time.monotonic() + LANE_TIMEOUT_S
    while int(str((lane := critical_lane(machine)).get("starts", 0))) < STARTS_MIN:
        assert time.monotonic() < deadline, lane
        time.sleep(1.0)
    machine.run("systemctl", "stop", *busy)
    print(f"\nbeside {len(busy)} busy processes: {lane}")
    assert lane["realTime"] is True

    router = machine.shown(ROUTER, "MainPID")["MainPID"]
    (child,) = machine.run("pgrep", "-P", router).out.split()
    scheduling = machine.run("chrt", "-p", child).out
    print(scheduling)
    assert "SCHED_RR" in scheduling
    assert re.search(r"priority: 10$", scheduling, re.MULTILINE)
    assert "SCHED_OTHER" in machine.run("chrt", "-p", router).out
    status = machine.run("cat", f"/proc/{child}/status").out
    assert re.search(r"^CapEff:\s0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s1$", status, re.MULTILINE)
    limits = machine.run("cat", f"/proc/{child}/limits").out
    assert re.search(r"^Max realtime priority\s+10\s+10\b", limits, re.MULTILINE)
