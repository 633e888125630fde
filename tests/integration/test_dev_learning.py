"""`weftmesh dev up` as a person types it: coordinators beside the nodes, until `dev down`."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.command_line import weftmesh
from tests.integration.learning_mesh import define, eventually, fill, until

from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.learning.v1.learning_pb2 import JobSpec

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

COORDINATOR = b"weftmesh.coordinator"
SETTLE_S = 90.0
WITHOUT_FLOWER = "import sys; sys.modules['flwr'] = None; from weftmesh.cli.__main__ import main; main()"
"""The command as it is where the extra `learner` is not installed."""


def running(directory: Path, module: bytes = b"") -> list[int]:
    """Processes that name something in the directory, and the module, on their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        ours = any(word.startswith(os.fsencode(directory) + b"/") for word in words)
        if ours and (not module or words[1:3] == [b"-m", module]):
            found.append(int(path.parent.name))
    return found


@asynccontextmanager
async def up(directory: Path, *options: str, program: Sequence[str] = ("-m", "weftmesh.cli")) -> AsyncIterator[str]:
    """A mesh for as long as the block runs, and what the command said; no process of it is left."""
    words = [sys.executable, *program, "dev", "up", "--dir", str(directory), "--detach", "--no-fsync", *options]
    started = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=False, timeout=120)
    try:
        assert started.returncode == 0, started.stderr
        yield started.stderr
    finally:
        stopped = await weftmesh(None, "dev", "down", "--dir", str(directory))
    assert stopped.code == 0, stopped.err

    async def is_quiet() -> bool:
        return not running(directory)

    await eventually(is_quiet, 20.0)


async def test_a_mesh_learns_by_itself_and_a_coordinator_that_dies_comes_back(tmp_path: Path) -> None:
    async with up(tmp_path, "--nodes", "3") as said:
        assert "learning is off" not in said
        mesh = DevMesh.load(tmp_path)

        async def all_here() -> bool:
            return len(running(tmp_path, COORDINATOR)) == 3

        await eventually(all_here, SETTLE_S)
        killed = running(tmp_path, COORDINATOR)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        for number, node in enumerate(mesh.nodes.values()):
            await fill(node, number, labels=10)
        await define(mesh.first, "effort", JobSpec(head="effort", goal_version=2))
        await until(mesh.first, "effort", lambda state: state.job.newest_version >= 2, SETTLE_S)
        assert not set(running(tmp_path, COORDINATOR)) & set(killed)


@pytest.mark.parametrize(
    ("options", "program", "is_told"),
    [(("--no-learning",), ("-m", "weftmesh.cli"), False), ((), ("-c", WITHOUT_FLOWER), True)],
    ids=["not-wanted", "not-installed"],
)
async def test_a_mesh_without_learning_has_neither_coordinators_nor_learners(
    tmp_path: Path, options: tuple[str, ...], program: tuple[str, ...], is_told: bool
) -> None:
    async with up(tmp_path, "--nodes", "1", *options, program=program) as said:
        assert ("learning is off: flwr not installed" in said) is is_told
        assert len(running(tmp_path)) == 1
        for arguments in (("learn", "run", "effort"), ("learn", "status")):
            result = await weftmesh(DevMesh.load(tmp_path).first, *arguments)
            assert result.code == 0, result.err
            assert "Install the package weftmesh-learner" in result.err
