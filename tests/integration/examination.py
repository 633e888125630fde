"""Runs `weftmesh doctor` on a node as a person would, and then the commands that it proposes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from weftmesh.cli.dev_node import DevNode
from weftmesh.client import connect

RUN_TIMEOUT_S: Final = 120.0
START_TIMEOUT_S: Final = 60.0
OURS: Final = Path(sys.executable).parent
SETTLE_S: Final = 60.0
PAUSE_S: Final = 0.5
BAD: Final = ("warning", "unknown", "failure")


@dataclass(frozen=True)
class Examination:
    """What doctor said."""

    code: int
    findings: list[dict[str, Any]]

    def bad(self, check: str, words: str = "") -> list[dict[str, Any]]:
        """What a check found wrong, if its summary has these words."""
        return [
            one for one in self.findings if one["check"] == check and one["severity"] in BAD and words in one["summary"]
        ]

    def only(self, check: str, words: str = "") -> dict[str, Any]:
        """The one thing that a check found wrong."""
        found = self.bad(check, words)
        assert len(found) == 1, f"{check} {words!r}: {json.dumps(self.findings, indent=1)}"
        return found[0]

    @property
    def failures(self) -> list[dict[str, Any]]:
        """Everything that does not work."""
        return [one for one in self.findings if one["severity"] == "failure"]


@dataclass
class Surroundings:
    """Where commands are run.

    Attributes:
        prefix: what they are started by, such as a command that enters another file system.
        environment: what they find beside our own environment.
        programs: a directory whose programs come first.
    """

    prefix: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    programs: Path | None = None
    _agents: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def variables(self, node: DevNode) -> Mapping[str, str]:
        """The environment of a command on a node."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("WEFTMESH_")}
        path = ":".join(map(str, filter(None, (self.programs, OURS, ours.get("PATH")))))
        return {**ours, **self.environment, "PATH": path, "WEFTMESH_CONFIG": str(node.config_path)}

    async def run(self, node: DevNode, *command: str) -> tuple[int, str, str]:
        """Run a command to its end; its exit status and what it said."""
        process = await asyncio.create_subprocess_exec(
            *self.prefix,
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.variables(node),
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), RUN_TIMEOUT_S)
        except BaseException:
            process.kill()
            raise
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def examine(self, node: DevNode) -> Examination:
        """Run doctor with a node's configuration."""
        arguments = ("--config", str(node.config_path), "--json", "doctor")
        code, out, err = await self.run(node, sys.executable, "-m", "weftmesh.cli", *arguments)
        assert out, err
        answer = json.loads(out)
        assert code == answer["exit_status"], answer
        return Examination(code, answer["findings"])

    async def healthy(self, node: DevNode) -> Examination:
        """Examine until nothing fails: members find one another after a while, and a busy disk has time again."""
        async with asyncio.timeout(SETTLE_S):
            while True:
                found = await self.examine(node)
                if not found.failures:
                    return found
                await asyncio.sleep(PAUSE_S)

    async def mend(self, node: DevNode, command: str) -> str:
        """Run a fix on a node; what it printed. An agent is left running, and its socket answers then."""
        if command.split()[0] == "weftmeshd":
            await self._start(node, command)
            return ""
        code, out, err = await self.run(node, "sh", "-c", command)
        assert code == 0, f"{command}: {err}"
        return out

    async def _start(self, node: DevNode, command: str) -> None:
        environment = {**self.variables(node), **node.environment}
        self._agents.append(await asyncio.to_thread(self._launch, command, node.log_path, environment))
        async with connect(str(node.socket), timeout_s=START_TIMEOUT_S, wait=True) as client:
            await client.mesh.get_status(timeout_s=START_TIMEOUT_S)

    def _launch(self, command: str, log_path: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with log_path.open("ab") as log:
            words = [*self.prefix, "sh", "-c", f"exec {command}"]
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(environment))

    async def stop(self) -> None:
        """Stop the agents that fixes started."""
        for agent in self._agents:
            agent.send_signal(signal.SIGTERM)
        while self._agents:
            await asyncio.to_thread(self._agents.pop().wait, START_TIMEOUT_S)


@asynccontextmanager
async def surroundings(**attributes: Any) -> AsyncIterator[Surroundings]:
    """Surroundings for as long as the block runs; agents that were started in them are stopped."""
    here = Surroundings(**attributes)
    try:
        yield here
    finally:
        await here.stop()


def own_etc(directory: Path) -> tuple[str, ...]:
    """A prefix that runs a command where /etc is a copy, which stays from one command to the next. Needs root."""
    copy = directory / "etc"
    subprocess.run(["cp", "--archive", "/etc", str(copy)], check=True)
    script = 'mount --bind "$0" /etc && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", script, str(copy))


def fixes(finding: Mapping[str, Any]) -> Sequence[str]:
    """The commands of a finding."""
    return [fix["command"] for fix in finding["fixes"]]
