from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from weftmesh.cli.__main__ import run
from weftmesh.cli.exit_codes import ExitCode

ROOT = Path(__file__).resolve().parents[3]
GOOD = ROOT / "examples/payments.ola.yaml"
BAD = ROOT / "tests/unit/runtime/ola_files/bad/misspelled_keys.yaml"


@pytest.fixture(autouse=True)
def without_a_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEFTMESH_SOCKET", str(tmp_path / "absent.sock"))


def test_good_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ola", "validate", str(GOOD)]) is ExitCode.OK
    ran = capsys.readouterr()
    assert ran.out == ""
    assert ran.err == "agreements: 1, all good; warnings: 0\n"


def test_bad_files_show_the_line_and_the_fix(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ola", "validate", str(GOOD), str(BAD)]) is ExitCode.ERROR
    ran = capsys.readouterr()
    assert f"{BAD}:9:30: error: there is no key `responsetime` here [UNKNOWN_KEY]" in ran.out
    assert "fix: did you mean `responseTime`?" in ran.out
    assert ran.err == "errors: 5, warnings: 0\n"


def test_json_has_every_part_of_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ola", "validate", str(GOOD), str(BAD), "--json"]) is ExitCode.ERROR
    told = json.loads(capsys.readouterr().out)
    assert (told["valid"], told["agreements"]) == (False, ["payments-api"])
    assert told["findings"][1] == {
        "file": str(BAD),
        "line": 9,
        "column": 30,
        "severity": "error",
        "code": "UNKNOWN_KEY",
        "message": "there is no key `responsetime` here",
        "fix": "did you mean `responseTime`?",
        "text": "  objectives: {upTime: 99.9, responsetime: []}",
    }


def test_files_without_an_agreement_are_not_applied(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With --prune they would retire everything."""
    file = tmp_path / "service.yaml"
    file.write_text("{apiVersion: openslo/v1, kind: Service, metadata: {name: web}}")
    for verb in ("plan", "apply"):
        assert run(["ola", verb, "--prune", str(file)]) is not ExitCode.OK
        assert "there is no agreement in these files" in capsys.readouterr().err
    assert run(["ola", "validate", str(file)]) is ExitCode.OK
    assert capsys.readouterr().err == "agreements: 0; warnings: 0\n"


def test_it_says_that_the_rest_was_not_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "many.yaml"
    file.write_text("".join(f"key{number}: 1\n" for number in range(60)))
    assert run(["ola", "validate", str(file)]) is ExitCode.ERROR
    assert capsys.readouterr().err == "errors: 50, warnings: 0; with so many, the rest is not read\n"


def test_a_file_comes_from_stdin() -> None:
    line = [sys.executable, "-m", "weftmesh.cli", "ola", "validate", "-"]
    ran = subprocess.run(line, input=BAD.read_bytes(), capture_output=True, check=False)
    assert ran.returncode == ExitCode.ERROR
    assert ran.stdout.startswith(b"<stdin>:9:16: error")


def test_a_file_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["ola", "validate", str(tmp_path / "absent.yaml")]) is ExitCode.USAGE
    assert run(["ola", "validate"]) is ExitCode.USAGE
    assert run(["ola", "validate", str(tmp_path)]) is ExitCode.USAGE


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ola", "schema"]) is ExitCode.OK
    assert capsys.readouterr().out == (ROOT / "docs/ola.schema.json").read_text()
