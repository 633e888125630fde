"""Run on a machine by the packaged Python: writes through its node until told to stop, or lists what a node has."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

from weftmesh.board.v1 import board_pb2
from weftmesh.client import connect
from weftmesh.core.errors import WeftmeshError

SOCKET = "/run/weftmesh/api.sock"
WRITERS = 4
PAUSE_S = 0.1
TIMEOUT_S = 60.0
"""Longer than a node's restart takes: a write is tried again until then."""


async def write(is_over: Callable[[], bool]) -> None:
    """Create tasks until it is over; print the names of those that were acknowledged, and what went wrong."""
    acknowledged: list[str] = []
    failed: list[str] = []

    async def writer(number: int) -> None:
        while not is_over():
            task = board_pb2.Task(title=f"of writer {number}, after {len(acknowledged)}")
            try:
                made = await client.board.create_task(
                    board_pb2.CreateTaskRequest(parent="projects/LOAD", task=task), timeout_s=TIMEOUT_S
                )
                acknowledged.append(made.name)
            except WeftmeshError as error:
                failed.append(str(error))
            await asyncio.sleep(PAUSE_S)

    async with connect(SOCKET, timeout_s=TIMEOUT_S, wait=True) as client, asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(writer(number))
    print(json.dumps({"acknowledged": acknowledged, "failed": failed}))


async def show() -> None:
    """Print the names of all tasks that the node has."""
    async with connect(SOCKET, timeout_s=TIMEOUT_S, wait=True) as client:
        print(json.dumps([task.name async for task in client.list_tasks("projects/LOAD")]))


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[2]).exists) if sys.argv[1] == "write" else show())
