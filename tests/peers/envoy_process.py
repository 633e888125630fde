"""Envoy as a process, started from what `weftmesh route bootstrap --envoy` prints."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.peers.xds_lab import REPOSITORY, SERVICE, START_S

from weftmesh.client.xds_bootstrap import Document, Router, envoy_bootstrap

WHEEL = REPOSITORY / "build/peers/envoy/_bin/envoy"


def envoy_program() -> str:
    """Where Envoy is; skips the test where it is not, and fails it under CI=true."""
    found = shutil.which("envoy") or (str(WHEEL) if WHEEL.exists() else None)
    if found is None:
        reason = "Envoy is not installed; `make peers` does that"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Envoy:
    """A running Envoy: `target` takes requests, `admin` answers questions about it."""

    def __init__(self, target: str, admin: str) -> None:
        self.target = target
        self.admin = admin

    async def ask(self, path: str) -> bytes:
        """Ask its administration interface."""

        def get() -> bytes:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=10) as answer:
                body: bytes = answer.read()
                return body

        return await asyncio.to_thread(get)

    async def counter(self, name: str) -> int:
        """One of its statistics."""
        lines = (await self.ask(f"/stats?filter=^{name}$")).decode().splitlines()
        return int(lines[0].split(": ")[1]) if lines else 0


@asynccontextmanager
async def envoy(directory: Path, router: Router, *, incremental: bool = False) -> AsyncIterator[Envoy]:
    """An Envoy for the lab's service; it refuses resources with fields that it does not know."""
    program = envoy_program()
    target, admin = f"127.0.0.1:{free_port()}", free_port()
    document: Document = envoy_bootstrap(router, SERVICE, "front", target, incremental=incremental)
    document["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}}
    file = directory / "envoy.json"
    file.write_text(json.dumps(document))
    arguments = ["-c", str(file), "--reject-unknown-dynamic-fields", "--concurrency", "1", "--disable-hot-restart"]
    log = directory / "envoy.log"
    process = await asyncio.create_subprocess_exec(
        program, *arguments, "--log-level", "warning", "--log-path", str(log), stdout=asyncio.subprocess.DEVNULL
    )
    running = Envoy(target, f"127.0.0.1:{admin}")
    try:
        await _ready(running, process, log)
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _ready(running: Envoy, process: asyncio.subprocess.Process, log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while process.returncode is None and time.monotonic() < deadline_s:
        try:
            if b"LIVE" in await running.ask("/ready"):
                return
        except OSError:
            await asyncio.sleep(0.1)
    pytest.fail(f"Envoy is not ready: {await asyncio.to_thread(log.read_text)}")
