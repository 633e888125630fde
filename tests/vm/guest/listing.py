"""Run in the machine: prints the titles of all tasks that a node has, by name, as a majority has them."""

from __future__ import annotations

import asyncio
import json
import sys

from weftmesh.board.v1 import board_pb2
from weftmesh.client import connect

PROJECT = "projects/LOAD"
TIMEOUT_S = 600.0


async def main(socket: str) -> None:
    """Ask the node with this socket."""
    linearizable = board_pb2.READ_CONSISTENCY_LINEARIZABLE
    async with connect(socket, timeout_s=TIMEOUT_S, wait=True) as client:
        tasks = client.list_tasks(PROJECT, consistency=linearizable, timeout_s=TIMEOUT_S)
        print(json.dumps({task.name: task.title async for task in tasks}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
