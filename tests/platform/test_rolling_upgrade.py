"""Three machines with the earlier packages, upgraded one after the other while clients write."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.platform.conftest import NODES, install
from tests.platform.machine import Machine
from tests.platform.meshes import found_mesh, machines, settle

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

SCRIPT = Path(__file__).with_name("writing.py")
SITE = "/usr/lib/weftmesh/lib/python3.12/site-packages"
LIBRARY = "/opt/library"
PYTHON = ("env", f"PYTHONPATH={LIBRARY}", "python3.12", "/srv/writing.py")
LOAD_TIMEOUT_S = 600.0
LEVEL_TIMEOUT_S = 60.0
EARLIER_LEVEL = 1


@pytest.fixture
def library(packages: Path, tmp_path: Path) -> Path:
    """The present client library, as programs have it that are not of the package."""
    directory = tmp_path / "library"
    directory.mkdir()
    archive = subprocess.run(
        ["rpm2cpio", str(next(packages.rglob("weftmesh-[0-9]*.rpm")))], capture_output=True, check=True
    )
    subprocess.run(["cpio", "--quiet", "-idm", f".{SITE}/*"], input=archive.stdout, check=True, cwd=directory)
    return directory / SITE[1:]


@pytest.fixture
def mesh(python: Path, earlier: Path, library: Path, tmp_path: Path) -> Iterator[list[Machine]]:
    """A mesh of the earlier packages, and the program that writes."""
    with machines(NODES, python, tmp_path, f"--bind-ro={library}:{LIBRARY}") as made:
        for machine in made:
            install(machine, earlier, "weftmesh")
            shutil.copy(SCRIPT, machine.path / "srv/writing.py")
        found_mesh(made)
        yield made


def levels(mesh: list[Machine]) -> set[int]:
    """The feature levels that the nodes go by; builds before there were any say nothing."""
    return {int(status(machine).get("feature_level", EARLIER_LEVEL)) for machine in mesh}


def status(machine: Machine) -> dict[str, int]:
    found: dict[str, int] = json.loads(machine.run("weftmesh", "--json", "status").stdout)
    return found


def wait_for_level(mesh: list[Machine]) -> None:
    """Return when every node goes by what the upgraded build can do."""
    supported = int(status(mesh[0])["supported_feature_level"])
    assert supported > EARLIER_LEVEL
    deadline = time.monotonic() + LEVEL_TIMEOUT_S
    while (found := levels(mesh)) != {supported}:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


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
            assert levels(mesh) == {EARLIER_LEVEL}
            pid = machine.pid_of("weftmesh-agent")
            install(machine, packages, "weftmesh")
            machine.wait_until("weftmesh-agent", "ActiveState", "active")
            assert machine.pid_of("weftmesh-agent") != pid
            settle(machine, NODES)
        wait_for_level(mesh)
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
