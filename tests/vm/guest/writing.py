"""Run in the machine: writes through every node, and tells the host of each acknowledged write at once."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import AsyncExitStack

from weftmesh.board.v1 import board_pb2
from weftmesh.client import Client, connect
from weftmesh.core.errors import WeftmeshError

PROJECT = "projects/LOAD"
WRITERS = 2
"""For each node."""
TIMEOUT_S = 600.0


async def write(client: Client, said: int, label: str, node: int) -> None:
    """Create tasks for ever."""
    count = 0
    while True:
        count += 1
        request = board_pb2.CreateTaskRequest(parent=PROJECT, task=board_pb2.Task(title=f"{label}, {count}"))
        answer: dict[str, str | int | float] = {"node": node}
        try:
            made = await client.board.create_task(request, timeout_s=TIMEOUT_S)
            answer |= {"name": made.name, "title": made.title}
        except WeftmeshError as error:
            answer |= {"failed": str(error)}
        os.write(said, json.dumps(answer | {"at_s": time.monotonic()}).encode() + b"\n")


async def main(said: int, label: str, sockets: list[str]) -> None:
    """Write through the nodes with these sockets."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(path, timeout_s=TIMEOUT_S, wait=True)) for path in sockets]
        async with asyncio.TaskGroup() as group:
            for node, client in enumerate(clients, 1):
                for writer in range(1, WRITERS + 1):
                    group.create_task(write(client, said, f"{label}, node {node}, writer {writer}", node))


if __name__ == "__main__":
    asyncio.run(main(os.open(sys.argv[1], os.O_WRONLY), sys.argv[2], sys.argv[3:]))
