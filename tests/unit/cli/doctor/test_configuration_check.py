from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.doctor.patients import sh

from weftmesh.cli.doctor.configuration import check_configuration
from weftmesh.cli.doctor.findings import Finding, Severity


def examined(tmp_path: Path, text: str) -> list[Finding]:
    file = tmp_path / "weftmesh.toml"
    file.write_text(text)
    file.chmod(0o644)
    return check_configuration(file, file)


def mended(tmp_path: Path, text: str) -> str:
    """The file after the fix of its one finding."""
    (found,) = examined(tmp_path, text)
    (fix,) = found.fixes
    sh(fix.command)
    return (tmp_path / "weftmesh.toml").read_text()


HEAD = 'config_version = 1\n[node]\nname = "n1"\n'


def test_a_configuration_that_holds_is_named(tmp_path: Path) -> None:
    (found,) = examined(tmp_path, HEAD)
    assert (found.severity, found.evidence) == (Severity.OK, str(tmp_path / "weftmesh.toml"))


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ('[log]\nlevle = "info"\n', '[log]\nlevel = "info"\n'),
        ('[mehs]\ngroup = "ops"\n', '[mesh]\ngroup = "ops"\n'),
        ("[ mehs ]\ngroup = 'ops'\n", "[ mesh ]\ngroup = 'ops'\n"),
        ("[log]\nzzz = 1\n", "[log]\n# zzz = 1\n"),
        ('[log]\nlevel = "loud"\n', '[log]\n# level = "loud"\n'),
        ('[log]\nlevel = "info"\nlevle = "info"\n', '[log]\nlevel = "info"\n# levle = "info"\n'),
        ("[log]\nlevel = = 1\n", "[log]\n# level = = 1\n"),
        ("zzz = 1\n", "# zzz = 1\n"),
    ],
)
def test_a_wrong_line_is_put_right_or_out_of_use(tmp_path: Path, wrong: str, right: str) -> None:
    head, text = ("", wrong) if wrong.startswith("zzz") else (HEAD, wrong)
    assert mended(tmp_path, head + text) == head + right


@pytest.mark.parametrize("text", ["[log\n", "[zzzzzz]\na = 1\n"])
def test_a_header_that_nobody_can_mend_is_left_to_a_person(tmp_path: Path, text: str) -> None:
    (found,) = examined(tmp_path, HEAD + text)
    assert found.fixes == ()
    assert "weftmesh.toml" in found.evidence


def test_every_problem_is_a_finding(tmp_path: Path) -> None:
    found = examined(tmp_path, HEAD + "[log]\nlevel = 3\nformat = 4\n")
    assert [one.severity for one in found] == [Severity.FAILURE] * 2


def test_a_variable_is_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFTMESH_LOG_LEVEL", "loud")
    (found,) = examined(tmp_path, HEAD)
    assert [fix.command for fix in found.fixes] == ["unset WEFTMESH_LOG_LEVEL"]


def test_drop_ins_are_an_administrators_too(tmp_path: Path) -> None:
    added = tmp_path / "conf.d/50-more.toml"
    added.parent.mkdir()
    added.write_text('[log]\nlevel = "debug"\n')
    added.chmod(0o664)
    (found,) = examined(tmp_path, HEAD)
    assert (found.severity, found.evidence) == (Severity.FAILURE, "mode 0664")
    assert [fix.command for fix in found.fixes] == [f"chmod go-w {added}"]
