"""Three machines with the earlier packages, upgraded one after the other while clients write."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
from tests.platform.conftest import NODES, install
from tests.platform.machine import Machine
from tests.platform.meshes import found_mesh, settle

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).with_name("writing.py")
PYTHON = ("/usr/lib/weftmesh/bin/python", "-I", "/srv/writing.py")
LOAD_TIMEOUT_S = 600.0


@pytest.fixture
def mesh(machines: list[Machine], earlier: Path) -> list[Machine]:
    """A mesh of the earlier packages, and the program that writes."""
    for machine in machines:
        install(machine, earlier, "weftmesh")
        shutil.copy(SCRIPT, machine.path / "srv/writing.py")
    found_mesh(machines)
    return machines


def test_no_acknowledged_write_is_lost_and_none_fails(mesh: list[Machine], packages: Path) -> None:
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
            install(machine, packages, "weftmesh")
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
