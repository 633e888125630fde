"""`python -m weftmesh.coordinator --socket PATH`: beside every node; idle and small unless that node leads."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from weftmesh.client import connect
from weftmesh.coordinator.children import ChildProcess
from weftmesh.coordinator.duty import Coordinator
from weftmesh.coordinator.metrics import CoordinatorMeter
from weftmesh.core.errors import WeftmeshError
from weftmesh.runtime.memory import share_heaps
from weftmesh.runtime.metrics.beside import HELP as METRICS_HELP
from weftmesh.runtime.metrics.beside import served_beside
from weftmesh.runtime.notify import notify
from weftmesh.runtime.telemetry import LEVELS, configure_logging
from weftmesh.runtime.watchdog import keep_beating, watchdog_limit_s
from weftmesh.runtime.worker_threads import with_threads

CONNECT_TIMEOUT_S: Final = 10.0
EXIT_FAILED: Final = 1

log = structlog.get_logger("weftmesh.coordinator")


def parse_arguments(arguments: Sequence[str] | None = None) -> tuple[ChildProcess, Path | None]:
    """Read the command line: what a child needs, and where metrics are served; ends the process where it cannot."""
    parser = argparse.ArgumentParser(
        prog="python -m weftmesh.coordinator",
        description="Leads learning and judges agreements while the local node leads the mesh.",
    )
    parser.add_argument("--socket", required=True, help="the node's local socket")
    parser.add_argument("--metrics", type=Path, help=METRICS_HELP)
    parser.add_argument("--log-level", choices=LEVELS, default="info")
    parser.add_argument("--log-format", choices=("console", "json"), default="console")
    found = parser.parse_args(arguments)
    return ChildProcess(found.socket, found.log_level, found.log_format), found.metrics


async def coordinate(child: ChildProcess, metrics: Path | None) -> None:
    """Go on until SIGTERM."""
    meter = CoordinatorMeter()
    coordinator = Coordinator(
        lambda: connect(child.socket, timeout_s=CONNECT_TIMEOUT_S, wait=True),
        child,
        secrets.SystemRandom(),
        meter=meter,
    )
    running = asyncio.create_task(coordinator.run())
    beating = asyncio.create_task(keep_beating(watchdog_limit_s(os.environ)))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    notify("READY=1")
    async with served_beside(metrics, (meter,)):
        with suppress(asyncio.CancelledError):
            await running
    beating.cancel()


def main() -> None:
    """Parse the command line and run."""
    child, metrics = parse_arguments()
    configure_logging(child.log_level, "json" if child.log_format == "json" else "console")
    share_heaps()
    try:
        with asyncio.Runner(loop_factory=with_threads(asyncio.new_event_loop)) as runner:
            runner.run(coordinate(child, metrics))
    except WeftmeshError as error:
        log.critical("the coordinator stopped", why=str(error), reason=error.reason)
        sys.exit(EXIT_FAILED)


if __name__ == "__main__":
    main()
