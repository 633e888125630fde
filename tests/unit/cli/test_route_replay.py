"""`weftmesh route replay` reads files alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.router.decided import decisions

from weftmesh.cli.__main__ import run
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.router.routes.decision_log import DecisionLog
from weftmesh.runtime.decision_log import log_file

DECISIONS = decisions()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a node whose router wrote its decisions."""
    log = DecisionLog(tmp_path / "data" / "router" / "decisions")
    for one in DECISIONS:
        log.append(one)
    log.close()
    path = tmp_path / "weftmesh.toml"
    path.write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n')
    return path


def test_the_log_of_this_node_under_another_policy(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", str(config), "route", "replay", "--policy", "equal"]) is ExitCode.OK
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"pay: {len(DECISIONS)} decisions from 2027-01-15 08:00:0")
    assert told[1].split() == ["ENDPOINT", "LOGGED", "EQUAL", "MEAN", "LOGGED", "MEAN", "EQUAL"]
    assert [line.split()[2] for line in told[2:]] == ["50.0%", "50.0%"]


def test_json_and_a_beginning(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    starts = datetime.fromtimestamp(DECISIONS[5].inputs.time_s, UTC).isoformat()
    arguments = ["--config", str(config), "--json", "route", "replay", "--policy", "feedback", "--from", starts]
    assert run(arguments) is ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["policy"], told["unreadable"]) == ("feedback", 0)
    assert [(one["route"], one["decisions"], one["differing"]) for one in told["routes"]] == [
        ("pay", len(DECISIONS) - 5, 0)
    ]


def test_damage_is_told(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "data" / "router" / "decisions"
    path = log_file(directory, 1)
    path.write_bytes(path.read_bytes().replace(b"\x9dWq\n", b"\x9dWqx", 1))
    assert run(["route", "replay", "--policy", "equal", "--log", str(directory)]) is ExitCode.OK
    assert "1 records are damaged" in capsys.readouterr().err
    assert run(["--config", str(config), "route", "replay", "--policy", "equal", "--route", "none"]) is ExitCode.OK
    assert "no such decisions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--policy", "best"], ExitCode.NOT_FOUND, "capacity, equal, feedback, latency"),
        (["--policy", "equal", "--from", "noon"], ExitCode.USAGE, "2026-11-22T02:00"),
    ],
)
def test_what_cannot_be_asked(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: ExitCode, why: str
) -> None:
    assert run(["--config", str(config), "route", "replay", *arguments]) is code
    assert why in capsys.readouterr().err


def test_no_router_wrote_here_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "weftmesh.toml"
    config.write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n')
    assert run(["--config", str(config), "route", "replay", "--policy", "equal"]) is ExitCode.NOT_FOUND
    assert "no decision log" in capsys.readouterr().err
