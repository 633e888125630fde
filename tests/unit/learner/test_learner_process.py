"""The learner as a process, beside a node that says what a test wants it to."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest
from tests.fakes.attended_node import ScriptedNode, serving

from weftmesh.cli.dev_companions import ACTIVATOR
from weftmesh.core.errors import InvalidInputError
from weftmesh.learner.__main__ import EXIT_CONFIG, EXIT_FAILED, EXIT_OK
from weftmesh.learner.config import IDLE_S, parse_arguments
from weftmesh.runtime.wire.envelopes import LearnerRefusal, unseal

PATIENCE_S = 200.0
"""A learner yields to everything else, and starts as late as that lets it."""

pytestmark = pytest.mark.timeout(3 * PATIENCE_S)


async def started(socket: str, state_dir: Path, *more: str) -> Process:
    command = [sys.executable, "-m", "weftmesh.learner", "--socket", socket, "--state-dir", str(state_dir), *more]
    return await asyncio.create_subprocess_exec(*command, stderr=PIPE)


async def ended(process: Process) -> tuple[int | None, str]:
    """The exit code, and what it said."""
    async with asyncio.timeout(PATIENCE_S):
        _, said = await process.communicate()
    return process.returncode, said.decode()


async def until_admitted(node: ScriptedNode) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await node.admitted.wait()


async def test_it_refuses_what_it_cannot_read_and_ends_well_when_it_is_dismissed(tmp_path: Path) -> None:
    node = ScriptedNode()
    async with serving(tmp_path, node) as socket:
        process = await started(socket, tmp_path / "state")
        node.ask(b"no envelope", timeout_s=PATIENCE_S)
        async with asyncio.timeout(PATIENCE_S):
            answer = await node.answers.get()
        # The scripted node has nothing to say of jobs: asking it fails, and that is told.
        assert isinstance(unseal(answer.payload), LearnerRefusal)
        node.dismiss()
        assert (await ended(process))[0] == EXIT_OK
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


async def test_it_ends_well_when_nobody_asks_and_when_it_is_told_to(tmp_path: Path) -> None:
    node = ScriptedNode()
    async with serving(tmp_path, node) as socket:
        assert (await ended(await started(socket, tmp_path / "state", "--idle-s", "0.1")))[0] == EXIT_OK
        node.admitted.clear()
        process = await started(socket, tmp_path / "state")
        await until_admitted(node)
        process.send_signal(signal.SIGTERM)
        assert (await ended(process))[0] == EXIT_OK


def connected(path: Path) -> socket.socket:
    """A connection to a socket that somebody is about to make."""
    connection = socket.socket(socket.AF_UNIX)
    while connection.connect_ex(str(path)) != 0:
        time.sleep(0.02)
    return connection


async def test_who_wants_a_learner_while_one_takes_its_leave_has_it_again(tmp_path: Path) -> None:
    node = ScriptedNode()
    path = tmp_path / "learner.sock"
    sleeper = await asyncio.create_subprocess_exec("/bin/sleep", "60")
    async with serving(tmp_path, node) as served:
        learner = [sys.executable, "-m", "weftmesh.learner", "--socket", served, "--state-dir", str(tmp_path / "state")]
        activator = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(ACTIVATOR), "--node-pid", str(sleeper.pid)),
            *("--listen", str(path), "--", *learner),
        )
        with await asyncio.to_thread(connected, path):
            await until_admitted(node)
            node.admitted.clear()
            node.dismiss()
            await until_admitted(node)
            assert node.calls == 2
        sleeper.kill()
        await sleeper.wait()
        async with asyncio.timeout(30):
            assert await activator.wait() == 0


async def test_two_learners_do_not_share_a_state_directory(tmp_path: Path) -> None:
    node = ScriptedNode()
    async with serving(tmp_path, node) as socket:
        first = await started(socket, tmp_path / "state")
        await until_admitted(node)
        code, said = await ended(await started(socket, tmp_path / "state"))
        assert (code, "another learner uses" in said) == (EXIT_FAILED, True)
        node.dismiss()
        assert (await ended(first))[0] == EXIT_OK


async def test_a_damaged_memory_refuses_every_question_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "memory").write_bytes(b"weftmesh-learner 1 of which little is left")
    node = ScriptedNode()
    async with serving(tmp_path, node) as socket:
        process = await started(socket, tmp_path / "state")
        for _ in range(2):
            node.ask(b"x", timeout_s=PATIENCE_S)
            async with asyncio.timeout(PATIENCE_S):
                answer = await node.answers.get()
            assert answer.refused.startswith("DATA_CORRUPTION")
            assert "restore it from a backup" in answer.refused
        node.dismiss()
        await ended(process)


async def test_it_yields_to_everything_else_and_has_loaded_little_before_it_is_asked(tmp_path: Path) -> None:
    node = ScriptedNode()
    async with serving(tmp_path, node) as socket:
        process = await started(socket, tmp_path / "state")
        await until_admitted(node)
        assert os.getpriority(os.PRIO_PROCESS, process.pid) >= os.getpriority(os.PRIO_PROCESS, 0)
        assert os.sched_getscheduler(process.pid) == os.SCHED_BATCH
        assert "numpy" not in Path(f"/proc/{process.pid}/maps").read_text()  # noqa: ASYNC240, a file of no disk
        node.dismiss()
        await ended(process)


async def test_a_node_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    process = await started(str(tmp_path / "nobody.sock"), tmp_path / "state", "--idle-s", "1")
    code, said = await ended(process)
    assert (code, "no node answers at" in said) == (EXIT_FAILED, True)


async def test_a_wrong_command_line_is_told_apart_from_a_failure(tmp_path: Path) -> None:
    code, said = await ended(await started("x", tmp_path, "--idle-s", "0"))
    assert (code, "has to be above 0" in said) == (EXIT_CONFIG, True)


def test_the_command_line() -> None:
    config = parse_arguments(["--socket", "/run/x", "--state-dir", "state"])
    assert (config.socket, config.state_dir, config.idle_s) == ("/run/x", Path("state").absolute(), IDLE_S)
    with pytest.raises(InvalidInputError):
        parse_arguments(["--socket", "/run/x", "--state-dir", "state", "--idle-s", "nan"])
