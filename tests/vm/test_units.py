"""What the kernel makes of our units: limits of memory and tasks, weights, and a real-time priority."""

from __future__ import annotations

import errno
import json
import re
import time

import pytest
from tests.vm import mesh
from tests.vm.load import Load, longest_silence_s, tasks_of
from tests.vm.machine import PROCESSORS, Machine

pytestmark = [pytest.mark.vm, pytest.mark.timeout(7_200)]

SLICE = "/sys/fs/cgroup/weftmesh.slice"
AGENT = "weftmesh-agent.service"
ROUTER = "weftmesh-router.service"
MIB = 1024 * 1024
LIMITS = {
    "": ("max", 4096 * MIB, 2048, 100),
    f"/{AGENT}": (1024 * MIB, 1536 * MIB, 256, 200),
    "/weftmesh-coordinator.service": (512 * MIB, 768 * MIB, 64, 50),
    f"/{ROUTER}": (256 * MIB, 512 * MIB, 128, 300),
}
FILES = ("memory.high", "memory.max", "pids.max", "cpu.weight")
SHARE_TOLERANCE = 0.05
SPIN_S = 30.0
HOLD_S = 20.0
KILLED = -9

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
  endpoints: [{name: node1, address: "127.0.0.1:7450"}]
"""
LANE_TIMEOUT_S = 900.0
STARTS_MIN = 100
BUSY = "while :; do :; done"


@pytest.fixture(scope="module", autouse=True)
def router(machine: Machine) -> None:
    machine.run("systemctl", "start", ROUTER)


@pytest.mark.parametrize("group", LIMITS)
def test_the_kernel_has_the_limits_of_the_unit(group: str, machine: Machine) -> None:
    found = machine.run("cat", *(f"{SLICE}{group}/{name}" for name in FILES)).stdout.split()
    assert found == [str(value) for value in LIMITS[group]]


def test_processor_time_is_shared_by_weight(machine: Machine) -> None:
    groups = [group for group in LIMITS if group]
    weights = [LIMITS[group][3] for group in groups]
    words = ["python3.12", "/host/guest/spin.py", str(SPIN_S), *(f"{SLICE}{group}" for group in groups)]
    used_s = json.loads(machine.run(*words).stdout)
    shares = [one / sum(used_s) for one in used_s]
    expected = [weight / sum(weights) for weight in weights]
    for group, weight, share, wanted in zip(groups, weights, shares, expected, strict=True):
        print(f"\n{group[1:]}: weight {weight}, {share:.3f} of what was had, {wanted:.3f} by weight", end="")
    assert shares == pytest.approx(expected, abs=SHARE_TOLERANCE)


@pytest.mark.parametrize("unit", [group[1:] for group in LIMITS if group])
def test_what_forks_without_end_in_a_unit_is_stopped_and_unit_and_node_go_on(unit: str, machine: Machine) -> None:
    limit = str(LIMITS[f"/{unit}"][2])
    was = machine.shown(unit, "MainPID", "ActiveState")
    with Load(machine, f"forks in {unit}", mesh.ALONE) as load:
        before = len(load.answers())
        words = ("python3.12", "/host/guest/forks.py", f"{SLICE}/{unit}", str(HOLD_S))
        forked = json.loads(machine.run(*words).stdout)
        answers = load.answers()[before:]
    print(f"\n{forked['children']} forks in {unit}, then {errno.errorcode[forked['errno']]}; meanwhile", end=" ")
    print(f"{len(answers)} writes, none for {longest_silence_s(answers, mesh.ALONE):.1f} s at the longest")
    assert forked["errno"] == errno.EAGAIN
    assert forked["pids.current"] == forked["pids.max"] == limit
    assert forked["pids.events"] != "max 0"
    assert [one for one in answers if "failed" in one] == []
    assert [one for one in answers if "name" in one]
    assert machine.shown(unit, "MainPID", "ActiveState") == was


def take_all_memory(machine: Machine, unit: str) -> None:
    """Let a process in a unit's control group take memory until it is killed, and the unit with it."""
    # Below MemoryMax= there is MemoryHigh=, which slows down whoever goes beyond it until it never gets there.
    machine.run("systemctl", "set-property", "--runtime", unit, "MemoryHigh=infinity")
    restarts = int(machine.shown(unit, "NRestarts")["NRestarts"])
    words = ("python3.12", "/host/guest/hog.py", f"{SLICE}/{unit}", "2000", "600")
    hog = machine.run(*words, check=False)
    assert hog.returncode == KILLED
    machine.wait_until(unit, "NRestarts", str(restarts + 1))
    machine.wait_until(unit, "ActiveState", "active")
    assert "killed by the OOM killer" in machine.run("journalctl", "--no-pager", "-b", "-u", unit).stdout


def test_what_takes_all_memory_of_a_companion_is_killed_and_the_node_serves(machine: Machine) -> None:
    with Load(machine, "memory of the router", mesh.ALONE) as load:
        before = len(load.answers())
        take_all_memory(machine, ROUTER)
        answers = load.answers()[before:]
    print(f"\nkilled at MemoryMax and started again: {ROUTER}; meanwhile {len(answers)} writes,", end=" ")
    print(f"none for {longest_silence_s(answers, mesh.ALONE):.1f} s at the longest")
    assert answers
    assert [one for one in answers if "failed" in one] == []


def test_a_node_killed_at_its_memory_max_is_back_with_what_it_acknowledged(machine: Machine) -> None:
    with Load(machine, "memory of the node", mesh.ALONE) as load:
        take_all_memory(machine, AGENT)
        mesh.settle(machine, mesh.ALONE)
        load.wait_for(10)
        acknowledged = load.acknowledged()
        answers = load.answers()
    print(f"\nkilled at MemoryMax and started again: {AGENT}; silent for", end=" ")
    print(f"{longest_silence_s(answers, mesh.ALONE):.1f} s, and it has all {len(acknowledged)} writes")
    assert acknowledged.items() <= tasks_of(machine, 1).items()


def critical_lane(machine: Machine) -> dict[str, object]:
    lanes = json.loads(machine.run("weftmesh", "--json", "--timeout", "120", "lanes").stdout)
    found: dict[str, object] = lanes.get("critical", {})
    return found


def wait_for_starts(machine: Machine, count: int) -> dict[str, object]:
    """Return what the critical lane tells of itself, once it has started so many ticks in the last five minutes."""
    deadline = time.monotonic() + LANE_TIMEOUT_S
    while int(str((lane := critical_lane(machine)).get("starts", 0))) < count:
        assert time.monotonic() < deadline, lane
        time.sleep(1.0)
    return lane


def test_the_critical_lane_takes_sched_rr_and_goes_on_beside_a_full_machine(machine: Machine) -> None:
    mesh.write(machine, "/srv/board.yaml", SERVICE)
    mesh.weftmesh(machine, 1, "ola", "apply", "/srv/board.yaml")
    alone = wait_for_starts(machine, 1)
    busy = [f"busy-{number}.service" for number in range(2 * PROCESSORS)]
    for unit in busy:
        machine.run("systemd-run", f"--unit={unit}", "--quiet", "--collect", "sh", "-c", BUSY)
    lane = wait_for_starts(machine, int(str(alone["starts"])) + STARTS_MIN)
    machine.run("systemctl", "stop", *busy)
    print(f"\nbeside {len(busy)} busy processes: {lane}")
    assert lane["real_time"] is True
    assert lane["restarts"] == alone["restarts"]

    router = machine.shown(ROUTER, "MainPID")["MainPID"]
    (child,) = machine.run("pgrep", "-P", router).stdout.split()
    scheduling = machine.run("chrt", "-p", child).stdout
    print(scheduling)
    assert "SCHED_RR" in scheduling
    assert re.search(r"priority: 10$", scheduling, re.MULTILINE)
    assert "SCHED_OTHER" in machine.run("chrt", "-p", router).stdout
    status = machine.run("cat", f"/proc/{child}/status").stdout
    assert re.search(r"^CapEff:\s0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s1$", status, re.MULTILINE)
    limits = machine.run("cat", f"/proc/{child}/limits").stdout
    assert re.search(r"^Max realtime priority\s+10\s+10\b", limits, re.MULTILINE)
