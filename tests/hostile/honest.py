"""Honest callers: a local one and a member over mTLS, who write and read at a steady pace and note how long it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from weftmesh.board.v1 import board_pb2
from weftmesh.cli.dev_node import DevNode
from weftmesh.client import Client, connect
from weftmesh.client.target import Identity

PROJECT: Final = "projects/HONEST"
PAUSE_S: Final = 0.02
TIMEOUT_S: Final = 10.0


class Honest:
    """Both callers of one node.

    Attributes:
        took_s: how long each write and read took, since it was last emptied.
        failures: what went wrong, in words.
    """

    def __init__(self, clients: dict[str, Client]) -> None:
        self._clients = clients
        self.took_s: list[float] = []
        self.failures: list[str] = []

    async def work(self) -> None:
        """Write and read until cancelled."""
        await asyncio.gather(*(self._work(name, client) for name, client in self._clients.items()))

    async def _work(self, name: str, client: Client) -> None:
        title = board_pb2.Task(title=f"of {name}")
        task = await client.board.create_task(
            board_pb2.CreateTaskRequest(parent=PROJECT, task=title), timeout_s=TIMEOUT_S
        )
        number = 0
        while True:
            number += 1
            task.title = f"of {name}, {number}"
            change = board_pb2.UpdateTaskRequest(task=board_pb2.Task(name=task.name, title=task.title))
            change.update_mask.paths.append("title")
            began_s = time.perf_counter()
            try:
                await client.board.update_task(change, timeout_s=TIMEOUT_S)
                wrote_s = time.perf_counter()
                await client.board.get_task(board_pb2.GetTaskRequest(name=task.name), timeout_s=TIMEOUT_S)
                self.took_s += [wrote_s - began_s, time.perf_counter() - wrote_s]
            except Exception as error:  # noqa: BLE001, whatever it is, it is told
                self.failures.append(f"{name}: {type(error).__name__}: {error}")
            await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def honest(node: DevNode, member: DevNode) -> AsyncIterator[Honest]:
    """Callers of `node`: one of this machine, one with the certificate of `member`."""
    identity = Identity(member.directory / "data" / "identity", node.name)
    async with node.client() as local, connect(node.listen, identity=identity) as remote:
        project = board_pb2.Project(title="honest work")
        await local.board.create_project(
            board_pb2.CreateProjectRequest(project=project, project_id=PROJECT.removeprefix("projects/")),
            timeout_s=TIMEOUT_S,
        )
        both = Honest({"local caller": local, "member": remote})
        working = asyncio.create_task(both.work())
        try:
            yield both
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


def quantile(sorted_s: list[float], share: float) -> float:
    """Of sorted values."""
    return sorted_s[min(len(sorted_s) - 1, int(share * len(sorted_s)))]
