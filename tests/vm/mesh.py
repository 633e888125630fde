"""Nodes on one machine: the packaged unit, and more of its kind that differ in where their files are."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Protocol

ALONE = (1,)
NODES = (1, 2, 3)
SETTLED_TIMEOUT_S = 900.0
CLI_TIMEOUT_S = 120.0
POLL_S = 2.0
PATIENT = """
[raft]
heartbeat_ms = 2000
election_timeout_ms = [10000, 15000]
"""
"""An emulated processor of a busy host stands still for longer than nodes wait for their leader by default."""
PATIENT_UNIT = "[Service]\nTimeoutStartSec=1h\nWatchdogSec=10min\n"
"""Three nodes that start at once need a minute of an emulated processor each, of which there may be little."""


class Runs(Protocol):
    """A machine, virtual or a container."""

    def run(self, *words: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in it; AssertionError when it fails and `check` is set."""


def suffix(number: int) -> str:
    """What the names of a node's directories end with; the first node has those of the package."""
    return "" if number == 1 else f"-{number}"


def unit(number: int) -> str:
    """The unit of a node."""
    return f"weftmesh-agent{suffix(number)}.service"


def config(number: int) -> str:
    """The configuration file of a node."""
    return f"/etc/weftmesh{suffix(number)}/weftmesh.toml"


def socket(number: int) -> str:
    """The local socket of a node."""
    return f"/run/weftmesh{suffix(number)}/api.sock"


def weftmesh(machine: Runs, number: int, *words: str) -> str:
    """Run the command line for a node."""
    options = ("--config", config(number), "--timeout", str(CLI_TIMEOUT_S))
    return machine.run("weftmesh", *options, *words).stdout


def write(machine: Runs, path: str, text: str) -> None:
    """Write a file, with the directories above."""
    machine.run("sh", "-c", 'mkdir -p "$(dirname "$0")" && cat > "$0"', path, stdin=text)


def found(machine: Runs, nodes: Sequence[int]) -> None:
    """Found the mesh of the installed packages, and enable what starts it at each boot."""
    packaged = machine.run("cat", f"/usr/lib/systemd/system/{unit(1)}").stdout
    for number in nodes[1:]:
        write(machine, f"/etc/systemd/system/{unit(number)}", _moved(packaged, number))
    for number in nodes:
        write(machine, str(PurePosixPath(config(number)).parent / "conf.d/20-patient.toml"), PATIENT)
    for name in (*map(unit, nodes), "weftmesh-coordinator.service", "weftmesh-router.service"):
        write(machine, f"/etc/systemd/system/{name}.d/20-patient.conf", PATIENT_UNIT)
    machine.run("systemctl", "daemon-reload")
    weftmesh(machine, 1, "init", "--cluster", "plant", "--advertise", "127.0.0.1:7450")
    machine.run("systemctl", "enable", "--now", "weftmesh.target", unit(1))
    for number in nodes[1:]:
        line = weftmesh(machine, 1, "token", "create").split()
        places = ("--data-dir", f"/var/lib/weftmesh-{number}", "--run-dir", f"/run/weftmesh-{number}")
        named = ("--name", f"node{number}", *_addresses(number), *places)
        weftmesh(machine, number, *line[line.index("join") :], *named)
        # Ready once it is a member.
        machine.run("systemctl", "enable", "--now", unit(number))
    settle(machine, nodes)
    weftmesh(machine, 1, "project", "add", "LOAD", "--title", "load")


def settle(machine: Runs, nodes: Sequence[int] = NODES) -> None:
    """Return when all units are ready, and the first node sees a quorum and all others as voters, up or not."""
    deadline = time.monotonic() + SETTLED_TIMEOUT_S
    # Cheaper to ask than a node: the command line takes seconds of an emulated processor, which nodes that start need.
    while machine.run("systemctl", "is-active", "--quiet", *map(unit, nodes), check=False).returncode != 0:
        assert time.monotonic() < deadline, machine.run("systemctl", "list-units", "weftmesh*").stdout
        time.sleep(POLL_S)
    while True:
        answer = machine.run("weftmesh", "--json", "status", check=False)
        status = json.loads(answer.stdout) if answer.returncode == 0 else {}
        voting = [one for one in status.get("members", []) if one["role"] != "observer"]
        if status.get("quorum") and len(voting) == len(nodes):
            return
        assert time.monotonic() < deadline, answer.stdout + answer.stderr
        time.sleep(POLL_S)


def _addresses(number: int) -> tuple[str, ...]:
    port = 7440 + 10 * number
    here = f"127.0.0.1:{port}"
    return ("--listen", here, "--advertise", here, "--enroll", f"127.0.0.1:{port + 1}")


def _moved(packaged: str, number: int) -> str:
    changes = {
        "ExecStart=/usr/bin/weftmeshd": f"ExecStart=/usr/bin/weftmeshd --config {config(number)}",
        "StateDirectory=weftmesh": f"StateDirectory=weftmesh-{number}",
        "RuntimeDirectory=weftmesh": f"RuntimeDirectory=weftmesh-{number}",
    }
    lines = [changes.get(line, line) for line in packaged.splitlines()]
    assert sum(line in changes.values() for line in lines) == len(changes), packaged
    return "\n".join(lines) + "\n"
