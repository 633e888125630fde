"""`weftmesh config validate` says which file it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.cli.__main__ import run
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.runtime.config import DEFAULT_PATH


def test_a_file_that_holds_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "weftmesh.toml"
    path.write_text('[log]\nlevel = "info"\n')
    assert run(["--config", str(path), "config", "validate"]) is ExitCode.OK
    assert f"{path}: good" in capsys.readouterr().err


@pytest.mark.skipif(DEFAULT_PATH.exists(), reason=f"this machine has {DEFAULT_PATH}")
def test_no_file_is_not_called_good(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("WEFTMESH_CONFIG", raising=False)
    assert run(["config", "validate"]) is ExitCode.OK
    assert f"there is no {DEFAULT_PATH}" in capsys.readouterr().err
