"""The real `weftmesh` run by another Unix user of this machine, for who may do what."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest
from tests.integration.command_line import RUN_TIMEOUT_S, Result

from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.cli.dev_node import DevNode


@dataclass(frozen=True)
class AnotherUser:
    """A user who is neither root nor the daemon's, with the primary group that the nodes' sockets belong to."""

    name: str
    uid: int

    async def weftmesh(self, node: DevNode, *arguments: str) -> Result:
        """Run `weftmesh` as that user."""
        process = await self.start(node, *arguments)
        out, err = await asyncio.wait_for(process.communicate(), RUN_TIMEOUT_S)
        assert process.returncode is not None
        return Result(process.returncode, out.decode(), err.decode())

    async def start(self, node: DevNode, *arguments: str) -> asyncio.subprocess.Process:
        """Start it, and do not wait for its end."""
        return await asyncio.create_subprocess_exec(
            *_as_user(self.uid),
            "-m",
            "weftmesh.cli",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"WEFTMESH_SOCKET": str(node.socket), "NO_COLOR": "1", "COLUMNS": "400", "PATH": os.environ["PATH"]},
            cwd="/",
        )


def another_user(mesh: DevMesh) -> AnotherUser:
    """The user `nobody`, let through to the sockets of a mesh; skips the test where that cannot be."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    try:
        account = pwd.getpwnam("nobody")
    except KeyError:
        pytest.skip("this machine has no user nobody")
    for node in mesh.nodes.values():
        for directory in (node.socket.parent, *node.socket.parents):
            if directory.stat().st_uid == os.geteuid() and not directory.stat().st_mode & 0o001:
                directory.chmod(directory.stat().st_mode | 0o011)
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv of util-linux is not installed")
    probe = subprocess.run(
        [*_as_user(account.pw_uid), "-c", "import weftmesh.cli.app"], cwd="/", capture_output=True, check=False
    )
    if probe.returncode:
        pytest.skip(f"nobody cannot run {sys.executable}: {probe.stderr.decode()[-200:]}")
    return AnotherUser(account.pw_name, account.pw_uid)


def _as_user(uid: int) -> list[str]:
    return ["setpriv", f"--reuid={uid}", f"--regid={os.getgid()}", "--clear-groups", "--inh-caps=-all", sys.executable]
