"""Doors behind which nobody is: they take a connection, shake hands, read, and say nothing.

Against these the attackers cost the machine what they cost it against a node, and the node nothing.
"""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.hostile.campaign import FILES_MAX, door_of, row_of
from tests.hostile.doors import READ_BYTES, Door

from weftmesh.cli.dev_mesh import free_ports

READY: Final = b"ready\n"


@asynccontextmanager
async def sinks(directory: Path, doors: list[Door], identity: Path) -> AsyncIterator[list[Door]]:
    """Doors like `doors`, in a process of their own, for as long as the block runs.

    Args:
        directory: for their sockets and for a file that says what they are.
        doors: which they stand in for.
        identity: a directory with a node's certificate, which they show.
    """
    ports = iter(free_ports(len(doors)))
    stand_ins = [
        replace(one, address=str(directory / f"sink{number}.sock") if one.is_local else f"127.0.0.1:{next(ports)}")
        for number, one in enumerate(doors)
    ]
    plan = directory / "sinks.json"
    plan.write_text(json.dumps({"identity": str(identity), "doors": [row_of(one) for one in stand_ins]}))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hostile", "sink", str(plan)),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == READY
        yield stand_ins
    finally:
        process.terminate()
        await process.wait()


def sink(plan: Path) -> None:
    """The sinks' process, until it is ended."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES_MAX, hard), hard))
    asyncio.run(_sink(json.loads(plan.read_text())))


async def _sink(row: dict[str, object]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity = Path(str(row["identity"]))
    context.load_cert_chain(identity / "node.pem", identity / "node.key")
    context.set_alpn_protocols(["h2"])
    rows = row["doors"]
    assert isinstance(rows, list)
    for door in map(door_of, rows):
        if door.is_local:
            await asyncio.start_unix_server(_swallow, door.address)
        else:
            host, port = door.address.rsplit(":", 1)
            await asyncio.start_server(_swallow, host, int(port), ssl=context, backlog=FILES_MAX)
    print(READY.decode(), end="", flush=True)
    await asyncio.Event().wait()


async def _swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, ssl.SSLError):
        while await reader.read(READ_BYTES):
            pass
    writer.close()
