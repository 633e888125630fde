"""Prometheus' own tool takes the alert rules, and each alert fires on what it is about, alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.peers.prometheus_tools import promtool

MONITORING = Path(__file__).resolve().parents[2] / "packaging/monitoring"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "--lint-fatal", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml", "alerts_days_test.yml"),
    ],
)
def test_promtool_has_nothing_against_them(arguments: tuple[str, ...]) -> None:
    checked = subprocess.run([promtool(), *arguments], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_rule_that_never_fires_is_noticed(tmp_path: Path) -> None:
    rules = (MONITORING / "alerts.yml").read_text()
    (tmp_path / "alerts.yml").write_text(rules.replace("weftmesh_raft_quorum) == 0", "weftmesh_raft_quorum) < 0"))
    (tmp_path / "alerts_test.yml").write_text((MONITORING / "alerts_test.yml").read_text())
    checked = subprocess.run(
        [promtool(), "test", "rules", "alerts_test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode != 0
    assert "WeftmeshNoQuorum" in checked.stdout + checked.stderr
