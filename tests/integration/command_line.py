"""The real `weftmesh` in a process of its own, as a person or a script runs it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weftmesh.cli.dev_node import DevNode

RUN_TIMEOUT_S = 90.0


@dataclass(frozen=True)
class Result:
    """How one run ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The JSON object on stdout, of a run that must have succeeded."""
        assert self.code == 0, self.err + self.out
        return json.loads(self.out)


async def weftmesh(node: DevNode | Path | None, *arguments: str, timeout_s: float = RUN_TIMEOUT_S) -> Result:
    """Run `weftmesh` against a node's socket; without one, against nothing."""
    socket = node.socket if isinstance(node, DevNode) else node
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WEFTMESH_")}
    if socket is not None:
        environment["WEFTMESH_SOCKET"] = str(socket)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "weftmesh.cli",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment | {"NO_COLOR": "1", "COLUMNS": "200"},
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), timeout_s)
    except BaseException:
        process.kill()
        raise
    assert process.returncode is not None
    return Result(process.returncode, out.decode(), err.decode())


async def done(node: DevNode, *arguments: str) -> str:
    """Run a command that must succeed; its stdout."""
    result = await weftmesh(node, *arguments)
    assert result.code == 0, result.err + result.out
    return result.out.strip()
