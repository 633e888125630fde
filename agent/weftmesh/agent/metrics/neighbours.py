"""The metrics of the processes beside a node, which have no network: fetched from their Unix sockets and handed on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

from weftmesh.runtime.metrics.http_server import Answer, Page
from weftmesh.runtime.metrics.pages import METRICS_PATH

NEIGHBOURS: Final = ("router", "coordinator", "learner")
FETCH_S: Final = 3.0
BYTES_MAX: Final = 4 * 1024 * 1024
_LINE_CHARACTERS_MAX: Final = 512


def socket_of(run_dir: Path, neighbour: str) -> Path:
    """Where a neighbour serves its metrics: in its own runtime directory, since the node's is not its to write in."""
    return run_dir.with_name(f"{run_dir.name}-{neighbour}") / "metrics.sock"


def neighbours_pages(run_dir: Path) -> dict[str, Page]:
    """One page for each: `/metrics/NAME`; 503 while it does not run."""
    return {f"{METRICS_PATH}/{name}": _page(name, socket_of(run_dir, name)) for name in NEIGHBOURS}


def _page(name: str, socket: Path) -> Page:
    async def page(headers: Mapping[str, str]) -> Answer:
        try:
            async with asyncio.timeout(FETCH_S):
                return await _fetch(socket, headers.get("accept", "")[:_LINE_CHARACTERS_MAX])
        except (OSError, ValueError, LookupError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            said = f"the {name} of this node does not answer on {socket}\n"
            return Answer(said.encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)

    return page


async def _fetch(socket: Path, accept: str) -> Answer:
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(f"GET {METRICS_PATH} HTTP/1.1\r\nAccept: {accept}\r\n\r\n".encode("latin-1"))
        await writer.drain()
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        size_bytes = int(headers["content-length"])
        if status.split(" ")[1:2] != ["200"] or size_bytes > BYTES_MAX:
            raise ValueError(status)
        return Answer(await reader.readexactly(size_bytes), headers["content-type"])
    finally:
        writer.close()
