from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from tests.fakes.board_server import BoardServer, board_server

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.__main__ import run
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.core.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NoQuorumError,
    NotFoundError,
    OverloadedError,
    PreconditionError,
    UnauthenticatedError,
    UnknownOutcomeError,
    WeftmeshError,
)

TASK_KEYS = {field.name for field in board_pb2.Task.DESCRIPTOR.fields}


@dataclass
class Ran:
    code: ExitCode
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


Weftmesh = Callable[..., Awaitable[Ran]]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[BoardServer]:
    async with board_server(tmp_path / "api.sock") as running:
        yield running


@pytest.fixture
def weftmesh(server: BoardServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Weftmesh:
    """Runs a command line against the fake, beside the loop that serves it."""
    monkeypatch.setenv("WEFTMESH_SOCKET", str(server.socket))

    async def call(*arguments: str) -> Ran:
        code = await asyncio.to_thread(run, arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture
async def board(weftmesh: Weftmesh) -> Weftmesh:
    """A board with one project and two tasks."""
    await weftmesh("project", "add", "PROJ", "--title", "Project")
    await weftmesh("task", "add", "PROJ", "first", "label+=bug", "priority=high")
    await weftmesh("task", "add", "PROJ", "second")
    return weftmesh


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoQuorumError("alone"), ExitCode.NO_QUORUM),
        (ConflictError("taken"), ExitCode.CONFLICT),
        (AlreadyExistsError("there"), ExitCode.CONFLICT),
        (ForbiddenError("no"), ExitCode.FORBIDDEN),
        (UnauthenticatedError("who"), ExitCode.FORBIDDEN),
        (NotFoundError("gone"), ExitCode.NOT_FOUND),
        (InvalidInputError("bad"), ExitCode.ERROR),
        (PreconditionError("not now"), ExitCode.ERROR),
        (UnknownOutcomeError("maybe"), ExitCode.ERROR),
        (OverloadedError("busy"), ExitCode.ERROR),
        (WeftmeshError("what"), ExitCode.ERROR),
    ],
)
async def test_exit_statuses(server: BoardServer, board: Weftmesh, error: WeftmeshError, code: ExitCode) -> None:
    async with asyncio.timeout(60):
        while True:
            server.board.faults.refuse.extend([error] * 50)
            ran = await board("--json", "--timeout", "0.3", "project", "rm", "PROJ", "--no-queue")
            if str(error) in ran.json["error"]["message"]:  # not where the answer came too late
                break
    assert ran.code == code
    failure = ran.json["error"]
    assert set(failure) == {"code", "reason", "message", "details"}
    assert (failure["code"], failure["reason"]) == (int(code), error.reason)


async def test_a_node_that_is_named_by_its_file_goes_before_the_environment(weftmesh: Weftmesh, tmp_path: Path) -> None:
    config = tmp_path / "weftmesh.toml"
    config.write_text(f'[node]\nname = "other"\nrun_dir = "{tmp_path}/other"\n')
    assert (await weftmesh("status")).code == ExitCode.OK
    ran = await weftmesh("--config", str(config), "status")
    assert ran.code == ExitCode.UNREACHABLE
    assert f"{tmp_path}/other" in ran.err


async def test_a_node_that_is_not_there(weftmesh: Weftmesh, tmp_path: Path) -> None:
    ran = await weftmesh("--socket", str(tmp_path / "absent"), "status")
    assert ran.code == ExitCode.UNREACHABLE
    assert not ran.out
    assert "absent" in ran.err
    ran = await weftmesh("--socket", str(tmp_path / "absent"), "status", "--json")
    assert (ran.json["error"]["code"], ran.err) == (3, "")


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["task", "nonsense"], ["task", "add"], ["task", "resolve", "PROJ-1/1"], ["status", "--nonsense"]],
)
async def test_wrong_usage(weftmesh: Weftmesh, arguments: list[str]) -> None:
    ran = await weftmesh(*arguments)
    assert (ran.code, ran.out) == (ExitCode.USAGE, "")
    assert "Error" in ran.err
    ran = await weftmesh(*arguments, "--json")
    assert (ran.code, ran.json["error"]["reason"]) == (ExitCode.USAGE, "USAGE")


GOLDEN = {
    ("status",): {
        *(
            "node",
            "cluster",
            "version",
            "role",
            "leader",
            "quorum",
            "term",
            "commit_index",
            "applied_index",
            "current_time",
        ),
        *(
            "log_first_index",
            "log_last_index",
            "log_last_term",
            "snapshot_index",
            "revision",
            "state_hash",
            "tasks",
            "projects",
        ),
        *("start_time", "certificate_expire_time", "sync_latency", "fsync", "rss_bytes", "pending_proposals"),
        *("watchers", "listen_address", "members"),
        *("queued_writes", "failed_queued_writes", "damaged_queue_parts", "last_audit"),
        *("feature_level", "supported_feature_level"),
    },
    ("members",): {"members"},
    ("members", "rm", "other", "--dry-run"): {"member", "dry_run"},
    ("leave", "--dry-run"): {"member", "dry_run"},
    ("token", "create"): {"token", "dry_run"},
    ("token", "ls"): {"tokens"},
    ("token", "revoke", "abc"): {"token", "dry_run"},
    ("project", "ls"): {"projects", "freshness"},
    ("project", "show", "PROJ"): {"project"},
    ("project", "set", "PROJ", "--title", "x"): {"project", "dry_run"},
    ("project", "rm", "PROJ"): {"project", "dry_run"},
    ("task", "ls"): {"tasks", "more", "freshness"},
    ("task", "show", "PROJ-1"): {"task", "conflicts", "pending"},
    ("task", "add", "PROJ", "third"): {"task", "dry_run"},
    ("task", "set", "PROJ-1", "status=done"): {"task", "dry_run"},
    ("task", "start", "PROJ-1"): {"task", "dry_run"},
    ("task", "block", "PROJ-1"): {"task", "dry_run"},
    ("task", "done", "PROJ-1"): {"task", "dry_run"},
    ("task", "claim", "PROJ-1"): {"task", "dry_run"},
    ("task", "revert", "PROJ-1", "--to", "1"): {"task", "dry_run"},
    ("task", "rm", "PROJ-1"): {"task", "dry_run"},
    ("task", "undelete", "PROJ-1"): {"task", "dry_run"},
    ("task", "resolve", "PROJ-1/1", "--keep"): {"task", "dry_run"},
    ("task", "log", "PROJ-1"): {"changes"},
    ("task", "conflicts"): {"conflicts"},
    ("task", "watch", "--count", "1", "--from-revision", "1"): {"event"},
    ("pending", "ls"): {"writes", "damaged_parts"},
    ("config", "show"): {"settings"},
    ("version",): {"version"},
}


@pytest.mark.parametrize("arguments", GOLDEN)
async def test_json_has_the_same_keys_every_time(board: Weftmesh, arguments: tuple[str, ...]) -> None:
    ran = await board(*arguments, "--json")
    assert (ran.code, ran.err) == (ExitCode.OK, "")
    assert set(ran.json) == GOLDEN[arguments]
    assert set(ran.json.get("task", dict.fromkeys(TASK_KEYS))) == TASK_KEYS


async def test_json_values_are_what_people_write(board: Weftmesh) -> None:
    await board("task", "set", "PROJ-1", "due=2026-12-01 14:00 Europe/Helsinki", "custom.team=core")
    task = (await board("task", "show", "PROJ-1", "--json")).json["task"]
    assert (task["status"], task["priority"], task["labels"], task["estimate"]) == ("todo", "high", ["bug"], None)
    assert task["due"]["at"] == {"time": "2026-12-01T12:00:00Z", "zone": "Europe/Helsinki"}
    assert task["custom"] == {"team": "core"}
    assert (await board("--json", "status")).json["sync_latency"]["p99"] == 0.0015


async def test_data_and_words_do_not_mix(board: Weftmesh) -> None:
    ran = await board("task", "add", "PROJ", "third")
    assert ran.out == "PROJ-3\n"
    assert "third" in ran.err
    assert (await board("-q", "task", "done", "PROJ-3")).err == ""


@pytest.mark.parametrize("words", ["task set PROJ-1 title=x", "task rm PROJ-1", "project add P2"])
async def test_a_dry_run_changes_nothing(server: BoardServer, board: Weftmesh, words: str) -> None:
    revision = server.board.revision
    assert (await board(*words.split(), "--dry-run", "--json")).json["dry_run"] is True
    assert server.board.revision == revision


async def test_a_conflict_names_both_values_and_how_to_go_on(server: BoardServer, board: Weftmesh) -> None:
    seen = server.board.find("tasks/PROJ-1")
    server.board.faults.stale_reads[seen.key] = seen
    server.board.tasks[seen.name].title = "theirs"
    ran = await board("task", "set", "PROJ-1", "title=yours")
    assert ran.code == ExitCode.CONFLICT
    assert not ran.out
    table = ran.err.splitlines()
    assert ["title", "first", "yours", "theirs", "bob@fake"] in [line.split() for line in table]
    assert "Nothing was written" in ran.err
    details = (await board("task", "set", "PROJ-1", "title=yours", "--json")).json["error"]["details"]
    assert details["conflict"]["fields"][0]["theirs"] == "theirs"


@pytest.mark.parametrize("reference", ["PROJ-2", "proj-2", "projects/PROJ/tasks/PROJ-2", "ID", "PREFIX", "prefix"])
async def test_ways_to_name_a_task(server: BoardServer, board: Weftmesh, reference: str) -> None:
    task_id = server.board.find("tasks/PROJ-2").name.rpartition("/")[2]
    reference = {"ID": task_id, "PREFIX": task_id[:-2], "prefix": task_id[:-2].lower()}.get(reference, reference)
    assert (await board("task", "show", reference, "--json")).json["task"]["key"] == "PROJ-2"


async def test_names_that_fit_no_task_or_several(server: BoardServer, board: Weftmesh) -> None:
    server.board.tasks.clear()
    for number in (1, 2):
        name = f"projects/PROJ/tasks/01ABCDEFGHJKMNPQRSTVWXYZ0{number}"
        server.board.tasks[name] = board_pb2.Task(name=name, key=f"PROJ-{number}")
    several = await board("task", "show", "01ABCD")
    assert (several.code, "PROJ-1, PROJ-2" in several.err) == (ExitCode.ERROR, True)
    assert (await board("task", "show", "01ABCDEFGHJKMNPQRSTVWXYZ02", "--json")).json["task"]["key"] == "PROJ-2"
    assert (await board("task", "show", "0ZZZZ")).code == ExitCode.NOT_FOUND
    assert (await board("task", "show", "x")).code == ExitCode.ERROR


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("words", [["task", "ls"], ["task", "show", "PROJ-1"], ["status"], ["task", "log", "PROJ-1"]])
async def test_output_fits_the_terminal(
    board: Weftmesh, monkeypatch: pytest.MonkeyPatch, width: int, words: list[str]
) -> None:
    await board("task", "set", "PROJ-1", "title=" + "words and more words, 日本語 " * 8, "labels=" + ",".join("abcdef"))
    monkeypatch.setenv("COLUMNS", str(width))
    lines = (await board(*words)).out.splitlines()
    assert lines
    assert all(cell_len(line) <= width for line in lines)


async def test_a_pipe_gets_whole_text_without_colour(board: Weftmesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    title = "words and more words " * 20
    await board("task", "set", "PROJ-1", f"title={title}")
    out = (await board("task", "ls")).out
    assert title.strip() in out
    assert "\x1b" not in out


async def test_no_color_is_respected_on_a_terminal(board: Weftmesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[32m" in (await board("status")).out
    monkeypatch.setenv("NO_COLOR", "1")
    out = (await board("status")).out
    assert "\x1b[3" not in out
    assert "kept: p50" in out


def test_help_and_version_load_no_grpc() -> None:
    check = "import sys; from weftmesh.cli.__main__ import run; run(sys.argv[1:]); sys.exit('grpc' in sys.modules)"
    for words in (["--help"], ["version"], ["task", "--help"]):
        assert subprocess.run([sys.executable, "-c", check, *words], capture_output=True, check=False).returncode == 0


async def test_init_writes_a_configuration_and_founds_a_mesh_once(weftmesh: Weftmesh, tmp_path: Path) -> None:
    config = tmp_path / "etc" / "weftmesh.toml"
    words = ["--config", str(config), "init", "--cluster", "fleet", "--name", "node1", "--listen", "127.0.0.1:7450"]
    words += ["--data-dir", str(tmp_path / "data"), "--run-dir", str(tmp_path / "run")]
    assert (await weftmesh(*words, "--dry-run", "--json")).json["dry_run"] is True
    assert os.listdir(tmp_path) == ["api.sock"]
    ran = await weftmesh(*words, "--json")
    assert ran.json == {
        "cluster": "fleet",
        "node": "node1",
        "address": "127.0.0.1:7450",
        "config": str(config),
        "config_written": True,
        "dry_run": False,
    }
    assert (tmp_path / "data" / "identity" / "ca.key").exists()
    again = await weftmesh(*words, "--json")
    assert (again.code, again.json["error"]["reason"]) == (ExitCode.CONFLICT, "ALREADY_A_NODE")
    other = await weftmesh("--config", str(config), "init", "--cluster", "fleet", "--name", "node2")
    assert (other.code, "node1, not node2" in other.err) == (ExitCode.ERROR, True)


async def test_a_wrong_join_line_writes_nothing(weftmesh: Weftmesh, tmp_path: Path) -> None:
    config = tmp_path / "weftmesh.toml"
    ran = await weftmesh("--config", str(config), "join", "127.0.0.1:7451", "wmj1.mistyped", "--json")
    assert (ran.code, ran.json["error"]["reason"]) == (ExitCode.ERROR, "JOIN_LINE_INVALID")
    assert not config.exists()


async def test_the_configuration_is_checked(weftmesh: Weftmesh, tmp_path: Path) -> None:
    config = tmp_path / "weftmesh.toml"
    config.write_text('[node]\nname = "a"\n[raft]\nfsink = true\n')
    ran = await weftmesh("--config", str(config), "config", "validate")
    assert ran.code == ExitCode.ERROR
    assert "weftmesh.toml:4" in ran.err
    assert "fsync" in ran.err
    config.write_text('[node]\nname = "a"\n')
    shown = await weftmesh("--config", str(config), "config", "show", "--origin", "--json")
    assert f"{config}:2" in shown.out


async def test_import_and_export_travel_in_a_circle(board: Weftmesh, tmp_path: Path) -> None:
    file = tmp_path / "board.csv"
    assert (await board("export", "PROJ", "-o", str(file), "--json")).json == {"tasks": 2, "file": str(file)}
    assert file.read_text().count("\n") == 3
    rows = [json.loads(line) for line in (await board("-q", "export", "--format", "jsonl")).out.splitlines()]
    assert [row["title"] for row in rows] == ["first", "second"]
    report = (await board("import", "weftmesh", str(file), "--dry-run", "--json")).json
    assert (report["unchanged"], report["created"], report["problems"]) == (2, 0, [])


async def test_a_file_that_cannot_be_written(board: Weftmesh, tmp_path: Path) -> None:
    ran = await board("export", "-o", str(tmp_path / "absent" / "file.csv"))
    assert (ran.code, ran.out) == (ExitCode.ERROR, "")
    assert "No such file" in ran.err


async def test_import_reports_bad_rows(board: Weftmesh, tmp_path: Path) -> None:
    file = tmp_path / "tasks.csv"
    file.write_text("Key,Title\nA-1,good\nA-2,\n")
    words = ["import", "csv", str(file), "--project", "PROJ", "--map", "title=Title", "--map", "key=Key", "--json"]
    ran = await board(*words)
    assert (ran.code, ran.json["written"], len(ran.json["problems"])) == (ExitCode.ERROR, False, 1)


async def test_dev_names_what_is_missing(weftmesh: Weftmesh, tmp_path: Path) -> None:
    assert (await weftmesh("dev", "down", "--dir", str(tmp_path / "none"))).code == ExitCode.NOT_FOUND
