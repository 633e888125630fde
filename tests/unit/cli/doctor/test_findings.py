from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.cli.doctor.findings import Finding, Fix, Severity, exit_code_of
from weftmesh.cli.doctor.report import show, to_json
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.output import Output


def finding(severity: Severity, **attributes: Any) -> Finding:
    return Finding("disk", severity, "little room", "1 MiB free", **attributes)


@given(st.lists(st.sampled_from(Severity)))
def test_a_failure_outweighs_a_check_that_could_not_run_which_outweighs_a_warning(severities: list[Severity]) -> None:
    code = exit_code_of([finding(severity) for severity in severities])
    if Severity.FAILURE in severities:
        assert (code, int(code)) == (ExitCode.FAILURES, 11)
    elif Severity.UNKNOWN in severities:
        assert (code, int(code)) == (ExitCode.COULD_NOT_RUN, 12)
    elif Severity.WARNING in severities:
        assert (code, int(code)) == (ExitCode.WARNINGS, 10)
    else:
        assert code == ExitCode.OK


def test_programs_get_everything_in_one_object() -> None:
    fix = Fix("systemctl start weftmesh-agent.service", "n2", "and wait")
    found = json.loads(json.dumps(to_json([finding(Severity.FAILURE, fixes=(fix,))], 1.23456)))
    assert found["exit_status"] == 11
    assert found["duration"] == 1.235
    assert found["counts"] == {"ok": 0, "skipped": 0, "warning": 0, "unknown": 0, "failure": 1}
    assert found["findings"] == [
        {
            "check": "disk",
            "severity": "failure",
            "summary": "little room",
            "evidence": "1 MiB free",
            "fixes": [{"command": fix.command, "node": "n2", "then": "and wait"}],
        }
    ]


def test_people_read_what_was_measured_and_where_to_run_what(capsys: pytest.CaptureFixture[str]) -> None:
    fixes = (Fix("weftmesh token create", "n2", "paste the line"), Fix("chmod 600 key"))
    show(Output(), [finding(Severity.OK), finding(Severity.FAILURE, fixes=fixes)], 0.5)
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "ok       disk  little room: 1 MiB free",
        "failure  disk  little room",
        "         measured: 1 MiB free",
        "         fix on n2: weftmesh token create   # paste the line",
        "         fix here: chmod 600 key",
    ]
    assert "1 ok, 1 failure; 0.5 s" in err


def test_what_a_finding_quotes_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    show(Output(), [Finding("ports", Severity.FAILURE, "a\x1b[2Jb", "c\nd")], 0.1)
    out, _ = capsys.readouterr()
    assert "\x1b" not in out
    assert "measured: c d" in out
