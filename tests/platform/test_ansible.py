"""The Ansible role makes a mesh of machines, and a second run changes nothing; Ansible reaches them without sshd."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.platform.conftest import install
from tests.platform.machine import ENVIRONMENT, Machine

ANSIBLE = Path(__file__).resolve().parents[2] / "packaging/ansible"
RUN_TIMEOUT_S = 900.0


def ansible(program: str = "ansible-playbook") -> str:
    found = shutil.which(program)
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{program} is not here: make peers")
    return found


def environment(directory: Path) -> dict[str, str]:
    """For Ansible: nothing of it lands in anybody's home."""
    return os.environ | {
        "HOME": str(directory),
        "ANSIBLE_ROLES_PATH": str(ANSIBLE / "roles"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_SSH_TRANSFER_METHOD": "piped",
        "ANSIBLE_PIPELINING": "1",
    }


@pytest.mark.slow
@pytest.mark.parametrize("playbook", ["site.yml", "upgrade.yml"])
def test_ansible_understands_every_playbook(playbook: str, tmp_path: Path) -> None:
    inventory = ANSIBLE / "inventory.example.yml"
    words = [ansible(), "--syntax-check", "-i", str(inventory), str(ANSIBLE / playbook)]
    checked = subprocess.run(words, capture_output=True, text=True, env=environment(tmp_path), check=False)
    assert checked.returncode == 0, checked.stderr


def instead_of_ssh(machines: list[Machine], path: Path) -> Path:
    """A program that is called as ssh is, and enters the machine of that name."""
    cases = [f'{one.name}) exec {shlex.join(one.entered("/bin/sh", "-c"))} "$command" ;;' for one in machines]
    kept = " ".join(f"{name}={shlex.quote(value)}" for name, value in ENVIRONMENT.items())
    script = ["#!/bin/bash", "command=${@: -1} host=${@: -2:1}", f"export {kept}", "case $host in", *cases, "esac"]
    path.write_text("\n".join([*script, "exit 255", ""]))
    path.chmod(0o755)
    return path


def play(playbook: str, inventory: Path, directory: Path) -> dict[str, dict[str, int]]:
    """What the recap says of each machine."""
    words = [ansible(), "-i", str(inventory), str(ANSIBLE / playbook)]
    played = subprocess.run(
        words, capture_output=True, text=True, env=environment(directory), check=False, timeout=RUN_TIMEOUT_S
    )
    assert played.returncode == 0, played.stdout[-6_000:] + played.stderr
    recap = re.findall(r"^(\S+)\s+: (.*)$", played.stdout.partition("PLAY RECAP")[2], re.MULTILINE)
    return {name: {key: int(n) for key, n in re.findall(r"(\w+)=(\d+)", counts)} for name, counts in recap}


@pytest.mark.platform
@pytest.mark.timeout(2 * RUN_TIMEOUT_S)
def test_a_mesh_is_made_once_and_its_settings_follow(machines: list[Machine], packages: Path, tmp_path: Path) -> None:
    ansible()
    for one in machines:
        install(one, packages, "weftmesh")
    ssh = instead_of_ssh(machines, tmp_path / "ssh")
    hosts = {one.name: {"weftmesh_address": f"10.99.0.{n}"} for n, one in enumerate(machines, 1)}
    variables = {
        "ansible_ssh_executable": str(ssh),
        "ansible_python_interpreter": "/usr/bin/python3.12",
        "ansible_become": False,
        "weftmesh_cluster": "plant",
        "weftmesh_install": False,  # dnf is not on these machines
        "weftmesh_settings": {"log": {"format": "json"}},
    }

    def inventory() -> Path:
        path = tmp_path / "inventory.yml"
        path.write_text(yaml.safe_dump({"weftmesh": {"hosts": hosts, "vars": variables}}))
        return path

    first = play("site.yml", inventory(), tmp_path)
    assert all(counts["changed"] for counts in first.values())
    told = json.loads(machines[0].run("weftmesh", "--json", "members").stdout)
    assert sorted(one["name"] for one in told["members"]) == [one.name for one in machines]
    assert {
        name: counts["changed"] for name, counts in play("site.yml", inventory(), tmp_path).items()
    } == dict.fromkeys(hosts, 0)
    started = [one.pid_of("weftmesh-agent") for one in machines]
    variables["weftmesh_settings"] = {"log": {"format": "json", "level": "debug"}}
    changed = play("site.yml", inventory(), tmp_path)
    assert all(counts["changed"] for counts in changed.values())
    assert [one.pid_of("weftmesh-agent") for one in machines] == started  # reloaded, not restarted
