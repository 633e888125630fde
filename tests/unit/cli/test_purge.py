from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from weftmesh.agent.raft.log.wal import WriteAheadLog
from weftmesh.cli.__main__ import run
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.runtime.identity.founding import NodeRecord

NOBODY = 65534


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node's configuration, beside what it and its companions keep."""
    return laid_out(tmp_path)


def laid_out(tmp_path: Path) -> Path:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/10-site.toml").write_text("")
    (tmp_path / "conf.d/notes.txt").write_text("not ours")
    for name in ("data/identity/node.key", "data/node.json", "data-learner/memory", "data-backup/board.age"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (tmp_path / "run").mkdir()
    config = tmp_path / "weftmesh.toml"
    config.write_text(f'[node]\nname = "edge-7"\ndata_dir = "{tmp_path}/data"\nrun_dir = "{tmp_path}/run"\n')
    return config


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """One that everybody may enter, unlike pytest's own."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def purge(config: Path, *options: str) -> ExitCode:
    return run(["--config", str(config), "purge", *options])


def left(config: Path) -> set[str]:
    root = config.parent
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


EVERYTHING = {
    "weftmesh.toml",
    "conf.d/10-site.toml",
    "conf.d/notes.txt",
    "data/identity/node.key",
    "data/node.json",
    "data-learner/memory",
    "data-backup/board.age",
}


def test_everything_of_the_node_goes_and_backups_stay(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert purge(node, "--yes-erase", "edge-7", "--json") is ExitCode.OK
    assert left(node) == {"conf.d/notes.txt", "data-backup/board.age"}
    assert (node.parent / "data").is_dir()
    assert json.loads(capsys.readouterr().out)["kept"] == [f"{node.parent}/data-backup"]


def test_a_dry_run_lists_and_removes_nothing(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert purge(node, "--dry-run") is ExitCode.OK
    assert f"{node.parent}/data/identity would be removed" in capsys.readouterr().out
    assert left(node) == EVERYTHING


def test_the_name_of_another_node_removes_nothing(node: Path) -> None:
    assert purge(node, "--yes-erase", "edge-8") is ExitCode.ERROR
    assert left(node) == EVERYTHING


def test_a_node_that_runs_is_not_purged(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(node.parent / "run/api.sock"))
        listener.listen()
        assert purge(node, "--yes-erase", "edge-7") is ExitCode.ERROR
    assert f"weftmeshd --config {node}" in capsys.readouterr().err
    assert left(node) == EVERYTHING


def test_what_a_link_points_to_is_left_alone(node: Path) -> None:
    elsewhere = node.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    (node.parent / "data/link").symlink_to(elsewhere)
    assert purge(node, "--yes-erase", "edge-7") is ExitCode.OK
    assert "elsewhere/precious" in left(node)
    assert not (node.parent / "data/link").is_symlink()


def test_the_name_that_is_typed_is_the_one_that_the_mesh_knows(node: Path) -> None:
    NodeRecord("plant", "edge-6", "10.0.0.6:7450", founding=True).save(node.parent / "data")
    assert purge(node, "--yes-erase", "edge-7") is ExitCode.ERROR
    assert left(node) == EVERYTHING
    assert purge(node, "--yes-erase", "edge-6") is ExitCode.OK


def test_a_node_that_does_not_listen_yet_is_left_alone(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = node.parent / "data/mesh/wal"
    directory.mkdir(parents=True)
    failures: list[OSError] = []
    log = WriteAheadLog.open(directory, fsync=False, on_failure=failures.append)
    assert purge(node, "--yes-erase", "edge-7") is ExitCode.ERROR
    assert f"it holds {directory}/lock; stop it first" in capsys.readouterr().err
    assert left(node) > EVERYTHING
    log.close()
    assert purge(node, "--yes-erase", "edge-7") is ExitCode.OK


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a moment")
def test_who_may_not_look_erases_nothing(open_directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = laid_out(open_directory)
    path = open_directory / "run/api.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        path.chmod(0)
        os.seteuid(NOBODY)
        try:
            assert purge(node, "--yes-erase", "edge-7") is ExitCode.FORBIDDEN
        finally:
            os.seteuid(0)
    assert f"you may not open {path}" in capsys.readouterr().err
    assert left(node) == EVERYTHING
