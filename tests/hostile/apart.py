"""Honest callers in a process of their own: their clock is kept by nobody who has anything else to do.

They are asked over their standard input, a line a question, and answer with a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.hostile.honest import honest
from tests.hostile.routed import routed
from tests.hostile.site import Site

from weftmesh.cli.dev_node import DevNode

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
ANSWER_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0


@dataclass
class Heard:
    """What the callers met since they were asked last.

    Attributes:
        took_s: each write and read of the board, sorted.
        routed_s: each answer of the router, sorted.
        tables: that the router told its follower.
        failures: what went wrong, in words.
    """

    took_s: list[float] = field(default_factory=list)
    routed_s: list[float] = field(default_factory=list)
    tables: int = 0
    failures: list[str] = field(default_factory=list)


class Apart:
    """The callers' process, seen from the one that started it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def heard(self) -> Heard:
        """What they met since the last call.

        Raises:
            RuntimeError: their process is gone.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            answer = await self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the honest callers' own process ended; see its traceback above")
        return Heard(**json.loads(answer))

    async def measured(self, for_s: float) -> Heard:
        """What they meet during a while that begins now."""
        await self.heard()
        await asyncio.sleep(for_s)
        return await self.heard()


@asynccontextmanager
async def apart(directory: Path, place: Site) -> AsyncIterator[Apart]:
    """Honest callers of the victim and of its router, at work for as long as the block runs.

    Args:
        directory: for a file that says where they call.
        place: the site.
    """
    plan = directory / "honest.json"
    plan.write_text(json.dumps(_row_of(place)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hostile", "honest", str(plan)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=ANSWER_BYTES_MAX,
        start_new_session=True,  # schedulers share processor time among sessions
    )
    try:
        callers = Apart(process)
        await callers.heard()
        yield callers
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def call(plan: Path) -> None:
    """The callers' process: reads from `plan` where they call, and answers until its standard input ends."""
    asyncio.run(_call(json.loads(plan.read_text())))


async def _call(row: dict[str, Any]) -> None:
    victim, member = (_node_of(row[name]) for name in ("victim", "honest"))
    questions = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    async with (
        honest(victim, member) as callers,
        routed(victim, member, Path(row["router_socket"]), row["xds"]) as followers,
    ):
        told = 0
        while await questions.readline():
            answer = {
                "took_s": sorted(callers.took_s),
                "routed_s": sorted(followers.took_s),
                "tables": followers.tables - told,
                "failures": [*callers.failures, *followers.failures],
            }
            told = followers.tables
            for noted in (callers.took_s, followers.took_s, callers.failures, followers.failures):
                noted.clear()
            print(json.dumps(answer), flush=True)


def _row_of(place: Site) -> dict[str, Any]:
    nodes = {"victim": place.victim, "honest": place.honest}
    rows = {name: [one.name, str(one.directory), one.listen, one.enroll] for name, one in nodes.items()}
    return rows | {"router_socket": str(place.router_socket), "xds": place.xds}


def _node_of(row: list[str]) -> DevNode:
    name, directory, listen, enroll = row
    return DevNode(name, Path(directory), listen, enroll)
