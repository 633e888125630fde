"""`weftmesh join --again`: a new key for a node that is stopped."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from weftmesh.cli.__main__ import run
from weftmesh.cli.exit_codes import ExitCode

LINE = ("127.0.0.1:9", f"wmj1.abcdefgh.{'a' * 32}.{'0' * 64}")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    path = tmp_path / "weftmesh.toml"
    path.write_text(f'[node]\nname = "edge-7"\ndata_dir = "{tmp_path}/data"\nrun_dir = "{tmp_path}/run"\n')
    return path


def test_a_node_that_runs_keeps_its_key(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(config.parent / "run/api.sock"))
        listener.listen()
        assert run(["--config", str(config), "join", "--again", *LINE]) is ExitCode.ERROR
    assert f"Ctrl-C where weftmeshd --config {config} runs" in capsys.readouterr().err


def test_one_that_is_stopped_calls_the_member(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", str(config), "join", "--again", *LINE]) is ExitCode.UNREACHABLE
    assert "no enrolment port answers at 127.0.0.1:9" in capsys.readouterr().err
