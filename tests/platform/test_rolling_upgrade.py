"""Three machines, upgraded one after the other while clients write."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.platform.conftest import install
from tests.platform.machine import Machine
from tests.platform.root_system import root_system

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

BRIDGE = "weftmesh-test"
NODES = 3
SCRIPT = Path(__file__).with_name("writing.py")
PYTHON = ("/usr/lib/weftmesh/bin/python", "-I", "/srv/writing.py")
SETTLED_TIMEOUT_S = 120.0
LOAD_TIMEOUT_S = 600.0


@pytest.fixture
def bridge() -> Iterator[str]:
    """A network of the machines alone."""
    subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "link", "set", BRIDGE, "up"], check=True)
        yield BRIDGE
    finally:
        subprocess.run(["ip", "link", "delete", BRIDGE], check=True)


@pytest.fixture
def mesh(python: Path, tmp_path: Path, bridge: str, packages: Callable[[int], Path]) -> Iterator[list[Machine]]:
    """A mesh of three machines."""
    with ExitStack() as stack:
        machines = []
        for number in range(1, NODES + 1):
            directory = tmp_path / f"node{number}"
            machine = Machine(f"node{number}", root_system(python), directory, python, f"--network-bridge={bridge}")
            machines.append(stack.enter_context(machine))
            begin(machine, number, packages(1))
            if number == 1:
                machine.run("weftmesh", "init", "--cluster", "plant", "--advertise", address(number))
            else:
                line = machines[0].run("weftmesh", "token", "create").stdout
                machine.run(*line.split(), "--advertise", address(number))
            machine.run("systemctl", "enable", "--now", "weftmesh.target")
            machine.wait_until("weftmesh-agent", "ActiveState", "active")
            settle(machine, number)
        yield machines


def address(number: int) -> str:
    return f"10.99.0.{number}:7450"


def begin(machine: Machine, number: int, packages: Path) -> None:
    """The network, the package, and the program that writes."""
    machine.run("ip", "address", "add", f"10.99.0.{number}/24", "dev", "host0")
    machine.run("ip", "link", "set", "host0", "up")
    install(machine, packages, "weftmesh")
    shutil.copy(SCRIPT, machine.path / "srv/writing.py")


def settle(machine: Machine, voters: int) -> None:
    """Return when the machine's node has a quorum of so many voters."""
    deadline = time.monotonic() + SETTLED_TIMEOUT_S
    while True:
        answer = machine.run("weftmesh", "--json", "status", check=False)
        found = json.loads(answer.stdout) if answer.returncode == 0 else {}
        voting = [one for one in found.get("members", []) if one["role"] != "observer"]
        if found.get("quorum") and len(voting) == voters:
            return
        assert time.monotonic() < deadline, answer.stdout + answer.stderr
        time.sleep(0.5)


def test_no_acknowledged_write_is_lost_and_none_fails(mesh: list[Machine], packages: Callable[[int], Path]) -> None:
    mesh[0].run("weftmesh", "project", "add", "LOAD", "--title", "load")
    results: dict[str, str] = {}

    def load(machine: Machine) -> None:
        results[machine.name] = machine.run(*PYTHON, "write", "/srv/stop", timeout_s=LOAD_TIMEOUT_S).stdout

    writing = [threading.Thread(target=load, args=(machine,)) for machine in mesh]
    for thread in writing:
        thread.start()
    try:
        for machine in (mesh[1], mesh[2], mesh[0]):
            pid = machine.pid_of("weftmesh-agent")
            install(machine, packages(2), "weftmesh")
            machine.wait_until("weftmesh-agent", "ActiveState", "active")
            assert machine.pid_of("weftmesh-agent") != pid
            settle(machine, NODES)
    finally:
        for machine in mesh:
            machine.run("touch", "/srv/stop")
        for thread in writing:
            thread.join(LOAD_TIMEOUT_S)

    told = [json.loads(results[machine.name]) for machine in mesh]
    acknowledged = {name for one in told for name in one["acknowledged"]}
    print(f"{len(acknowledged)} writes acknowledged while three nodes were upgraded")
    assert [one["failed"] for one in told] == [[], [], []]
    assert len(acknowledged) > NODES
    for machine in mesh:
        assert acknowledged <= set(json.loads(machine.run(*PYTHON, "list").stdout))
