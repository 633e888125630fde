"""The daemon: runs one node until it is told to stop, and says by its exit code whether to start it again."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
import uvloop

from weftmesh.agent import why_stopped
from weftmesh.agent.compose import Node
from weftmesh.agent.reloading import Reloading
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.features.levels import UnsupportedLevelError
from weftmesh.runtime.config import DEFAULT_PATH, Config, load_config
from weftmesh.runtime.memory import share_heaps
from weftmesh.runtime.telemetry import configure_logging
from weftmesh.runtime.units import NodeCommands
from weftmesh.runtime.worker_threads import with_threads

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 78
"""EX_CONFIG of sysexits.h: restarting will not help."""


async def run_node(config: Config, read: Callable[[], Config]) -> None:
    """Run a node until SIGTERM or SIGINT; SIGHUP makes it read its configuration again."""
    node = Node(config)
    loop = asyncio.get_running_loop()

    def apply(changed: Config) -> None:
        start_logging(changed)
        node.apply_live(changed)

    reloading = Reloading(config, read, apply)
    loop.add_signal_handler(signal.SIGHUP, reloading.ask)
    following = loop.create_task(reloading.run(node.ready))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stopping.set)
    try:
        await node.run()
    finally:
        following.cancel()


def start_logging(config: Config) -> None:
    """Log as the configuration says, from now on."""
    configure_logging(config.log.level, "json" if config.log.format == "json" else "console")


def run(config_path: Path | None) -> int:
    """Run the node that the configuration describes; returns the exit code.

    Args:
        config_path: of weftmesh.toml, if not the usual place.

    Raises:
        OSError: of no disk.
    """

    def read() -> Config:
        return load_config(config_path, environment=os.environ)

    try:
        config = read()
    except WeftmeshError as error:
        print(f"weftmeshd: {error}", file=sys.stderr)
        return EXIT_CONFIG
    start_logging(config)
    here = NodeCommands.of_this_machine(config_path or DEFAULT_PATH)
    share_heaps()
    gc.freeze()  # what was imported stays: no collection has to walk it
    try:
        uvloop.run(run_node(config, read), loop_factory=with_threads(uvloop.new_event_loop))
    except WeftmeshError as error:
        why = why_stopped.of_error(error, here)
        structlog.get_logger("weftmesh").critical("the node stopped", why=why, reason=error.reason)
        return EXIT_CONFIG if error.reason == UnsupportedLevelError.reason else EXIT_FAILED
    except OSError as error:
        told = why_stopped.of_system_error(error, config.node.data_dir, here)
        if told is None:
            raise
        reason, why = told
        structlog.get_logger("weftmesh").critical("the node stopped", why=why, reason=reason)
        return EXIT_FAILED
    return EXIT_OK
