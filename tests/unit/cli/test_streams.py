"""The command line under what a cron job, an old locale or a slip of the hand gives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from weftmesh.cli.__main__ import run
from weftmesh.cli.exit_codes import ExitCode

TEXT = "ä日𝒳"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with text in it that ASCII lacks."""
    path = tmp_path / "weftmesh.toml"
    path.write_text(f'[node]\nname = "edge-7"\ndata_dir = "{tmp_path}/{TEXT}"\nrun_dir = "{tmp_path}/run"\n')
    return path


def started(config: Path, *words: str, before: str = "", encoding: str = "ascii") -> subprocess.CompletedProcess[str]:
    """Run the command line in a shell, whose redirections stand `before` it."""
    script = f'exec "$@" {before}'
    words = ("sh", "-c", script, "sh", sys.executable, "-m", "weftmesh.cli", "--config", str(config), *words)
    environment = os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "300"}
    environment.pop("PYTHONUNBUFFERED", None)  # what is left in a buffer is written at the end
    return subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=60)


def test_what_a_locale_lacks_is_escaped(config: Path) -> None:
    ran = started(config, "config", "show")
    assert (ran.returncode, ran.stderr) == (ExitCode.OK, "")
    assert r"\xe4\u65e5\U0001d4b3" in ran.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_in_any_locale(config: Path, encoding: str) -> None:
    ran = started(config, "config", "show", "--json", encoding=encoding)
    assert TEXT in json.dumps(json.loads(ran.stdout), ensure_ascii=False)


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("config show", ExitCode.OK), ("status", ExitCode.UNREACHABLE)])
def test_closed_streams_change_nothing(config: Path, closed: str, words: str, code: ExitCode) -> None:
    ran = started(config, *words.split(), before=closed)
    assert ran.returncode == code
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_full_disk_is_named_without_a_file(config: Path, options: tuple[str, ...]) -> None:
    ran = started(config, "config", "show", *options, before=">/dev/full")
    assert (ran.returncode, ran.stderr) == (ExitCode.ERROR, "error: No space left on device\n")


@pytest.mark.parametrize("words", [("task", "add", "PAY"), ("access", "check"), ("route", "table"), ("--socket",)])
def test_an_argument_that_is_no_text_is_wrong_usage(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "caf\udce9", "--json"]) is ExitCode.USAGE
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["reason"] == "USAGE"
    assert r"'caf\udce9' is not text in UTF-8" in error["message"]
