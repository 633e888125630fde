"""What a person is told to type to start a node: what this machine has."""

from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.runtime.config import DEFAULT_PATH
from weftmesh.runtime.units import AGENT_UNIT, NodeCommands


@pytest.fixture
def units(tmp_path: Path) -> Path:
    directory = tmp_path / "units"
    directory.mkdir()
    (directory / AGENT_UNIT).write_text("[Service]\n")
    return directory


def test_systemd_runs_a_node_whose_unit_is_installed(tmp_path: Path, units: Path) -> None:
    commands = NodeCommands.of_this_machine(DEFAULT_PATH, systemd=tmp_path, units=[units])
    assert commands.enable == "systemctl enable --now weftmesh.target"
    assert commands.start == "systemctl start weftmesh-agent.service"
    assert commands.stop == "systemctl stop weftmesh-agent.service"


def test_a_unit_is_of_no_use_where_no_systemd_runs(tmp_path: Path, units: Path) -> None:
    commands = NodeCommands.of_this_machine(DEFAULT_PATH, systemd=tmp_path / "absent", units=[units])
    assert {commands.enable, commands.start} == {"weftmeshd"}
    assert "systemctl" not in commands.stop


def test_systemd_is_of_no_use_without_a_unit(tmp_path: Path) -> None:
    assert not NodeCommands.of_this_machine(DEFAULT_PATH, systemd=tmp_path, units=[tmp_path]).has_unit


def test_a_node_with_a_configuration_of_its_own_is_started_with_it(tmp_path: Path, units: Path) -> None:
    commands = NodeCommands.of_this_machine(tmp_path / "a node.toml", systemd=tmp_path, units=[units])
    assert commands.enable == f"weftmeshd --config '{tmp_path}/a node.toml'"
    assert commands.weftmesh("status") == f"weftmesh --config '{tmp_path}/a node.toml' status"
