"""Nodes that belong to no mesh yet, and the commands that make them members."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.integration.command_line import Result, weftmesh

from weftmesh.cli.dev_mesh import free_ports
from weftmesh.cli.dev_node import DevNode


def bare_node(directory: Path, name: str) -> DevNode:
    """A configured node that belongs to no mesh yet."""
    listen, enroll = (f"127.0.0.1:{port}" for port in free_ports(2))
    node = DevNode(name, directory / name, listen, enroll)
    node.write_config(fsync=True)
    return node


@asynccontextmanager
async def running(*nodes: DevNode) -> AsyncIterator[None]:
    """The nodes run for as long as the block does."""
    try:
        for node in nodes:
            node.start()
        for node in nodes:
            await node.ready()
        yield
    finally:
        await asyncio.gather(*(node.stop() for node in nodes))


async def offline(node: DevNode, *arguments: str) -> Result:
    """Run a command that needs this node's configuration, and no daemon."""
    return await weftmesh(None, "--config", str(node.config_path), *arguments)


async def join(member: DevNode, node: DevNode) -> None:
    """Enrol `node` with a fresh token of `member`, which has the authority; it still has to be started."""
    line = (await weftmesh(member, "--json", "token", "create")).json()["token"]["join_command"]
    joined = await offline(node, *shlex.split(line)[1:])
    assert joined.code == 0, joined.err
