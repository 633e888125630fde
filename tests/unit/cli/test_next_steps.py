"""What commands propose to type next is what this machine has: no systemd for a node with a file of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.cli.__main__ import run
from weftmesh.cli.exit_codes import ExitCode


def test_a_node_that_was_founded_is_started_with_its_own_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "weftmesh.toml"
    words = ["--config", str(config), "init", "--cluster", "fleet", "--name", "node1", "--advertise", "127.0.0.1:7450"]
    assert run([*words, "--data-dir", str(tmp_path / "data"), "--run-dir", str(tmp_path / "run")]) is ExitCode.OK
    said = capsys.readouterr().err
    assert f"next: weftmeshd --config {config}; then: weftmesh --config {config} status" in said
    assert f"weftmesh --config {config} token create" in said
    assert "systemctl" not in said
