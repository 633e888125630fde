"""The typed async client of a weftmesh node.

Example::

    async with connect() as client:
        task = await client.board.create_task(CreateTaskRequest(parent="projects/PROJ", task=Task(title="Ship it")))
        async for event in client.watch("projects/PROJ"):
            print(event.task.task.title)
"""

from weftmesh.client.client import Client, connect
from weftmesh.client.target import Identity, default_target

__all__ = ["Client", "Identity", "connect", "default_target"]
