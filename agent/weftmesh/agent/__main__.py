"""`weftmeshd`: runs one node until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
import uvloop

from weftmesh.agent.compose import Node
from weftmesh.agent.reloading import Reloading
from weftmesh.core.errors import WeftmeshError
from weftmesh.core.features.levels import UnsupportedLevelError
from weftmesh.runtime.config import Config, load_config
from weftmesh.runtime.memory import share_heaps
from weftmesh.runtime.telemetry import configure_logging
from weftmesh.runtime.worker_threads import with_threads

GC_THRESHOLDS: Final = (20_000, 20, 100)

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 78
"""EX_CONFIG of sysexits.h: restarting will not help."""

DISK_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
"""What a full or failing disk says."""


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


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="weftmeshd", description="Runs one weftmesh node.")
    parser.add_argument("--config", type=Path, help="the configuration file; default /etc/weftmesh/weftmesh.toml")
    arguments = parser.parse_args()

    def read() -> Config:
        return load_config(arguments.config, environment=os.environ)

    try:
        config = read()
    except WeftmeshError as error:
        print(f"weftmeshd: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    start_logging(config)
    share_heaps()
    # A full collection walks every task: rarely, and never because a few requests came and went.
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        uvloop.run(run_node(config, read), loop_factory=with_threads(uvloop.new_event_loop))
    except WeftmeshError as error:
        structlog.get_logger("weftmesh").critical("the node stopped", why=str(error), reason=error.reason)
        sys.exit(EXIT_CONFIG if error.reason == UnsupportedLevelError.reason else EXIT_FAILED)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        structlog.get_logger("weftmesh").critical(
            "the node stopped",
            why=f"{error}: the disk that holds {config.node.data_dir} takes no more writes; nothing was acknowledged "
            "that is not on disk. Make room or mend it, then start the node again",
            reason="DISK_FAILED",
        )
        sys.exit(EXIT_FAILED)
    sys.exit(EXIT_OK)


if __name__ == "__main__":
    main()
