"""What commands propose to type next is what this machine has: no systemd for a node with a file of its own."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from weftmesh.cli.__main__ import run
from weftmesh.cli.exit_codes import ExitCode


@pytest.fixture(autouse=True)
def group(monkeypatch: pytest.MonkeyPatch) -> str:
    """A group that this machine has."""
    name = grp.getgrgid(os.getgid()).gr_name
    monkeypatch.setenv("WEFTMESH_MESH_GROUP", name)
    return name


def found(tmp_path: Path) -> Path:
    config = tmp_path / "weftmesh.toml"
    words = ["--config", str(config), "init", "--cluster", "fleet", "--name", "node1", "--advertise", "127.0.0.1:7450"]
    assert run([*words, "--data-dir", str(tmp_path / "data"), "--run-dir", str(tmp_path / "run")]) is ExitCode.OK
    return config


def test_a_node_that_was_founded_is_started_with_its_own_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = found(tmp_path)
    said = capsys.readouterr().err
    assert f"next: weftmeshd --config {config}; then: weftmesh --config {config} status" in said
    assert f"weftmesh --config {config} token create" in said
    assert "systemctl" not in said
    assert "groupadd" not in said


def test_a_group_that_is_not_here_is_made_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEFTMESH_MESH_GROUP", "no-such-group")
    found(tmp_path)
    assert "first: groupadd --system no-such-group" in capsys.readouterr().err


def test_the_next_build_is_asked_about_the_file_of_the_node_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = found(tmp_path)
    capsys.readouterr()
    run(["--socket", str(tmp_path / "run/api.sock"), "upgrade", "check", "--json"])
    assert f"NEW/weftmesh --config {config} config validate" in capsys.readouterr().out
