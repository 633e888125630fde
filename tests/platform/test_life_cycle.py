"""The package on a machine with a real systemd: from install to purge."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.platform.conftest import install
from tests.platform.machine import Machine

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

AGENT = "weftmesh-agent"
RUNNING = (AGENT, "weftmesh-coordinator", "weftmesh-router")
CONFIG = "/etc/weftmesh/weftmesh.toml"
READY_S_MAX = 1.5
"""On a machine that does nothing else; where others compute, a start takes its share of the processors."""
STARTS = 3
NAMED = (
    # rpm's own books, and those of users; the package leaves its users, lest their numbers go to others
    *(
        "/root/.rpmdb",
        "/var/lib/rpm",
        "/etc/passwd",
        "/etc/group",
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/subuid",
        "/etc/subgid",
    ),
    # directories of EL's package filesystem; this system came without manuals
    *("/usr/share/licenses", "/usr/share/man/"),
    # empty, and of this system's fish, which rpm does not know; on EL it has two owners and stays
    "/usr/share/fish/vendor_completions.d",
    *("/etc/.pwd.lock", "/var/log", "/var/lib/systemd", "/run", "/tmp", "/var/tmp"),
)


def ready_after_s(machine: Machine) -> float:
    shown = machine.shown(AGENT, "ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    started_us, ready_us = (int(shown[name]) for name in sorted(shown, reverse=True))
    return (ready_us - started_us) / 1e6


def status(machine: Machine) -> dict[str, object]:
    found: dict[str, object] = json.loads(machine.run("weftmesh", "--json", "status").stdout)
    return found


def append(machine: Machine, text: str) -> None:
    machine.run("sh", "-c", f"cat >> {CONFIG}", stdin=text)


def test_it_is_ready_soon_after_its_start(node: Machine) -> None:
    times_s = []
    for _ in range(STARTS):
        node.run("systemctl", "restart", AGENT)
        times_s.append(ready_after_s(node))
    others = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    print(f"start to READY, s: {times_s}; {others:.1f} processes a processor")
    assert min(times_s) <= READY_S_MAX * others
    assert status(node)["quorum"]
    assert node.shown("weftmesh-coordinator", "ActiveState")["ActiveState"] == "active"


def test_nothing_runs_before_somebody_says_so(new_machine: Machine, packages: Path) -> None:
    install(new_machine, packages, "weftmesh", "weftmesh-router", "weftmesh-learner")
    units = ("weftmesh.target", AGENT, "weftmesh-coordinator", "weftmesh-router", "weftmesh-learner.socket")
    for unit in units:
        assert new_machine.run("systemctl", "is-enabled", unit, check=False).stdout.strip() == "disabled"
    refused = new_machine.run("weftmesh", "status", check=False)
    assert refused.returncode == 3
    assert "systemctl start weftmesh-agent" in refused.stderr


def test_callers_are_told_apart_and_keys_are_out_of_reach(node: Machine) -> None:
    node.run("useradd", "--groups", "weftmesh", "ann")
    node.run("useradd", "bob")
    node.run("runuser", "-u", "ann", "--", "weftmesh", "project", "add", "TEST", "--title", "a test")
    node.run("runuser", "-u", "ann", "--", "weftmesh", "task", "add", "TEST", "written by ann")
    assert "ann@node1" in node.run("weftmesh", "task", "log", "TEST-1").stdout
    assert node.run("runuser", "-u", "bob", "--", "weftmesh", "status", check=False).returncode != 0
    for user in ("ann", "bob", "weftmesh-coordinator"):
        assert node.run("runuser", "-u", user, "--", "ls", "/var/lib/weftmesh", check=False).returncode != 0


def test_a_node_that_hangs_is_started_again(node: Machine) -> None:
    node.run("mkdir", "/run/systemd/system/weftmesh-agent.service.d")
    node.run("sh", "-c", "printf '[Service]\\nWatchdogSec=3\\n' > /run/systemd/system/weftmesh-agent.service.d/w.conf")
    node.run("systemctl", "daemon-reload")
    node.run("systemctl", "restart", AGENT)
    pid = node.pid_of(AGENT)
    node.run("kill", "-STOP", str(pid))
    node.wait_until(AGENT, "NRestarts", "1")
    node.wait_until(AGENT, "ActiveState", "active")
    assert node.pid_of(AGENT) != pid
    assert status(node)["quorum"]
    assert "Watchdog timeout" in node.run("journalctl", "--no-pager", "-u", AGENT).stdout


def test_a_reload_changes_what_it_can_and_names_the_rest(node: Machine) -> None:
    pid = node.pid_of(AGENT)
    append(node, '[log]\nlevel = "debug"\n[limits]\nmax_message_bytes = 131072\n')
    node.run("systemctl", "reload", AGENT)
    expected = "needs a restart for limits.max_message_bytes (4194304 -> 131072)"
    node.wait_until(AGENT, "StatusText", expected)
    assert "log.level (info -> debug)" in node.journal(AGENT)
    assert node.pid_of(AGENT) == pid


def test_a_broken_configuration_fails_the_reload_and_the_node_serves_on(node: Machine) -> None:
    pid = node.pid_of(AGENT)
    append(node, "[raft]\nheartbeat_ms = soon\n")
    refused = node.run("systemctl", "reload", AGENT, check=False)
    assert refused.returncode != 0
    assert f"{CONFIG}:" in node.journal(AGENT)
    assert node.pid_of(AGENT) == pid
    assert node.shown(AGENT, "ActiveState")["ActiveState"] == "active"
    assert status(node)["quorum"]


def test_an_upgrade_restarts_what_runs_and_keeps_what_was_written(earlier_node: Machine, packages: Path) -> None:
    node = earlier_node
    append(node, '[log]\nlevel = "warning"\n')
    node.run("weftmesh", "project", "add", "TEST", "--title", "a test")
    node.run("weftmesh", "task", "add", "TEST", "from before")
    pids = {unit: node.pid_of(unit) for unit in RUNNING}
    install(node, packages, "weftmesh", "weftmesh-router")
    for unit in RUNNING:
        node.wait_until(unit, "ActiveState", "active")
        assert node.pid_of(unit) != pids[unit]
    assert node.run("rpm", "-q", "weftmesh", "--qf", "%{release}").stdout == "1"
    assert "from before" in node.run("weftmesh", "task", "ls").stdout
    assert "warning" in node.run("weftmesh", "config", "show").stdout
    assert node.run("weftmesh", "route", "table").returncode == 0
    changed = node.run("rpm", "-V", "--nodeps", "weftmesh", "weftmesh-router", check=False).stdout.split("\n")
    assert [line.split()[-1] for line in changed if line] == [CONFIG]


def test_an_erased_package_leaves_state_and_the_changed_configuration(node: Machine) -> None:
    append(node, '[log]\nlevel = "warning"\n')
    node.run("rpm", "-e", "--nodeps", "weftmesh")
    assert node.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "weftmesh*").stdout == ""
    left = node.run("find", "/etc", "/usr", "/var/lib", "-path", "*weftmesh*", "-not", "-path", "*/weftmesh/*")
    assert left.stdout.split() == ["/etc/weftmesh", "/var/lib/weftmesh"]
    left = node.run("find", "/etc/weftmesh", "-type", "f")
    assert sorted(left.stdout.split()) == ["/etc/weftmesh/conf.d/10-node.toml", f"{CONFIG}.rpmsave"]
    assert "node.json" in node.run("ls", "/var/lib/weftmesh").stdout


def test_units_that_failed_or_belong_to_a_part_are_gone_with_their_package(node: Machine, packages: Path) -> None:
    install(node, packages, "weftmesh-router")
    node.run("systemctl", "start", "weftmesh-router")
    node.run("rpm", "-e", "--nodeps", "weftmesh-router")
    assert node.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "weftmesh-router*").stdout == ""
    node.run("sh", "-c", "echo > /etc/weftmesh/backup.env")
    assert node.run("systemctl", "start", "weftmesh-backup", check=False).returncode != 0
    node.run("rpm", "-e", "--nodeps", "weftmesh")
    assert node.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "weftmesh*").stdout == ""


def test_after_a_purge_nothing_is_left_but_what_is_named(new_machine: Machine, packages: Path) -> None:
    before = new_machine.files()
    install(new_machine, packages, "weftmesh")
    new_machine.run("weftmesh", "init", "--cluster", "plant", "--advertise", "127.0.0.1:7450")
    new_machine.run("systemctl", "enable", "--now", "weftmesh.target")
    new_machine.wait_until(AGENT, "ActiveState", "active")
    assert "weftmesh" in " ".join(new_machine.files().keys() - before.keys())

    refused = new_machine.run("weftmesh", "purge", "--yes-erase", "node1", check=False)
    assert "disable --now weftmesh.target" in refused.stderr
    new_machine.run("systemctl", "disable", "--now", "weftmesh.target", AGENT)
    new_machine.run("weftmesh", "purge", "--yes-erase", "node1")
    new_machine.run("rpm", "-e", "--nodeps", "weftmesh")

    after = new_machine.files()
    differing = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {name for name in differing if not name.startswith(NAMED)} == set()
