"""A mesh of machines on a network of their own."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.platform.machine import Machine
from tests.platform.root_system import root_system

SETTLED_TIMEOUT_S = 120.0


@contextmanager
def bridge() -> Iterator[str]:
    """A network of the machines alone; a run that was killed left one of another name."""
    name = f"weftmesh-{os.getpid() % 1_000_000}"  # the kernel's names have at most 15 characters
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


@contextmanager
def machines(nodes: int, python: Path, directory: Path, *options: str) -> Iterator[list[Machine]]:
    """So many machines, node1 and so on, that reach one another; `options` as Machine has them."""
    with ExitStack() as stack:
        name = stack.enter_context(bridge())
        made = []
        for number in range(1, nodes + 1):
            own = directory / f"node{number}"
            joined = f"--network-bridge={name}"
            machine = stack.enter_context(Machine(own.name, root_system(python), own, python, joined, *options))
            machine.run("ip", "address", "add", f"10.99.0.{number}/24", "dev", "host0")
            machine.run("ip", "link", "set", "host0", "up")
            made.append(machine)
        yield made


def found_mesh(made: list[Machine]) -> None:
    """Found a mesh on the first machine and let the others join; the package is on all of them."""
    for number, machine in enumerate(made, 1):
        if number == 1:
            machine.run("weftmesh", "init", "--cluster", "plant", "--advertise", f"10.99.0.{number}:7450")
        else:
            line = made[0].run("weftmesh", "token", "create").stdout
            machine.run(*line.split(), "--advertise", f"10.99.0.{number}:7450")
        machine.run("systemctl", "enable", "--now", "weftmesh.target")
        machine.wait_until("weftmesh-agent", "ActiveState", "active")
        settle(machine, number)


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
