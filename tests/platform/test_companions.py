"""The processes beside the node, as their units start them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.platform.conftest import install
from tests.platform.machine import Machine

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

LEARNER = "weftmesh-learner"
CONNECT = (
    "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/run/weftmesh/learner.sock'); sys.stdin.read()"
)

TRAINING = """
import numpy
from weftmesh.runtime import flower
numpy.linalg.solve(numpy.eye(100), numpy.ones(100))
"""
TRAINING_UNIT = """
[Service]
Type=oneshot
Restart=no
ExecStart=
ExecStart=/usr/lib/weftmesh/bin/python -I /srv/training.py
"""


def test_whoever_connects_as_the_node_starts_the_learner(node: Machine, packages: Path) -> None:
    install(node, packages, LEARNER)
    node.run("systemctl", "enable", "--now", f"{LEARNER}.socket")
    assert node.shown(LEARNER, "ActiveState")["ActiveState"] == "inactive"
    refused = node.run("runuser", "-u", "nobody", "--", "python3.12", "-c", CONNECT, check=False)
    assert "PermissionError" in refused.stderr
    node.run("runuser", "-u", "weftmesh", "--", "python3.12", "-c", CONNECT)
    node.wait_until(LEARNER, "ActiveState", "active")
    assert node.run("stat", "-c", "%U %a", f"/var/lib/{LEARNER}").stdout.split() == [LEARNER, "700"]


def test_the_learner_s_socket_outlives_a_restart_of_the_node(node: Machine, packages: Path) -> None:
    install(node, packages, LEARNER)
    node.run("systemctl", "enable", "--now", f"{LEARNER}.socket")
    node.run("systemctl", "restart", "weftmesh-agent")
    assert node.run("test", "-S", "/run/weftmesh/learner.sock", check=False).returncode == 0


@pytest.mark.parametrize("unit", [LEARNER, "weftmesh-coordinator"])
def test_what_trains_loads_in_its_sandbox(unit: str, node: Machine, packages: Path) -> None:
    install(node, packages, LEARNER)
    node.run("systemctl", "stop", unit)
    node.run("sh", "-c", "cat > /srv/training.py", stdin=TRAINING)
    node.run("mkdir", "-p", f"/run/systemd/system/{unit}.service.d")
    node.run("sh", "-c", f"cat > /run/systemd/system/{unit}.service.d/training.conf", stdin=TRAINING_UNIT)
    node.run("systemctl", "daemon-reload")
    started = node.run("systemctl", "start", unit, check=False)
    assert started.returncode == 0, node.journal(unit)


def test_the_router_answers_and_sees_nothing_of_what_the_node_keeps(node: Machine, packages: Path) -> None:
    install(node, packages, "weftmesh-router")
    node.run("systemctl", "enable", "--now", "weftmesh-router")
    node.wait_until("weftmesh-router", "ActiveState", "active")
    assert node.run("weftmesh", "route", "table").returncode == 0
    assert node.run("runuser", "-u", "weftmesh", "--", "ls", "/var/lib/weftmesh/router").stdout.strip()
    pid = node.pid_of("weftmesh-router")
    hidden = node.run("ls", f"/proc/{pid}/root/var/lib/weftmesh").stdout.split()
    assert hidden == ["router"]


def test_a_backup_is_taken_for_whom_the_administrator_names(node: Machine) -> None:
    node.run("systemctl", "start", "weftmesh-backup")
    assert node.run("find", "/var/lib", "-name", "*.age").stdout == ""
    recipient = node.run("weftmesh", "backup", "keygen", "--to", "/root/backup.key").stdout.strip()
    node.run("sh", "-c", "cat > /etc/weftmesh/backup.env", stdin=f"BACKUP_RECIPIENTS={recipient}\nBACKUP_KEEP=2\n")
    for _ in range(3):
        node.run("sleep", "1.1")  # a backup is named after its second
        node.run("systemctl", "start", "weftmesh-backup")
    taken = node.run("find", "/var/lib/weftmesh-backup", "-name", "*.age").stdout.split()
    assert len(taken) == 2
    node.run("weftmesh", "backup", "verify", taken[0], "--identity", "/root/backup.key")
