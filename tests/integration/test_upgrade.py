"""`weftmesh upgrade` against a real mesh."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.cli.dev_node import DevNode
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.core.features.levels import SUPPORTED_LEVEL
from weftmesh.runtime.data_formats import FILE_NAME, FORMATS

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

Environment = Callable[[Path], dict[str, str]]


async def run(
    node: DevNode, environment: Environment, *words: str, socket: Path | None = None
) -> tuple[int, dict[str, Any]]:
    where = ["--config", str(node.config_path), "--socket", str(socket or node.socket)]
    command = [sys.executable, "-m", "weftmesh.cli", *where, "upgrade", *words, "--json"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment(node.socket), capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout)


async def test_a_new_mesh_is_at_the_level_that_its_build_supports(mesh: DevMesh, cli_environment: Environment) -> None:
    for _ in range(100):
        code, state = await run(mesh.nodes["node2"], cli_environment, "status")
        if code == ExitCode.OK:
            break
        await asyncio.sleep(0.2)

    assert (code, state["feature_level"]) == (ExitCode.OK, SUPPORTED_LEVEL)
    assert [member["supported_feature_level"] for member in state["members"]] == [SUPPORTED_LEVEL] * 3


async def test_all_that_a_node_keeps_has_a_format(mesh: DevMesh) -> None:
    data_dir = mesh.first.directory / "data"
    covered = {Path(name).parts[0] for name in FORMATS} | {FILE_NAME}

    assert {path.name for path in data_dir.iterdir()} <= covered
    assert json.loads((data_dir / FILE_NAME).read_text())["files"] == dict.fromkeys(FORMATS, 1)


async def test_an_upgrade_can_begin_where_all_is_well_and_not_while_a_node_is_down(
    mesh: DevMesh, cli_environment: Environment, tmp_path: Path
) -> None:
    (tmp_path / "board.age").touch()
    words = ("check", "--backups", str(tmp_path))

    before, _ = await run(mesh.first, cli_environment, *words)
    await mesh.kill("node3")
    without, found = await run(mesh.first, cli_environment, *words)
    await mesh.restart("node3")

    failures = {one["check"] for one in found["findings"] if one["severity"] == "failure"}
    assert (before, without) == (ExitCode.OK, ExitCode.FAILURES)
    assert failures == {"answers", "quorum"}


async def test_where_no_node_answers_nothing_can_be_said(mesh: DevMesh, cli_environment: Environment) -> None:
    code, found = await run(mesh.first, cli_environment, "check", socket=mesh.first.socket.with_name("absent.sock"))

    assert (code, found["findings"][0]["severity"]) == (ExitCode.COULD_NOT_RUN, "unknown")
