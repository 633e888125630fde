"""`python -m weftmesh.router`: beside a node; decides where the requests of this machine go."""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
import sys
from contextlib import suppress
from typing import Final

import structlog
import uvloop

from weftmesh.core.errors import ConfigError, WeftmeshError
from weftmesh.router.app import Router
from weftmesh.router.config import RouterConfig, parse_arguments
from weftmesh.runtime.data_formats import UnsupportedFormatError, check_formats
from weftmesh.runtime.exclusive import only_one
from weftmesh.runtime.memory import share_heaps
from weftmesh.runtime.telemetry import configure_logging
from weftmesh.runtime.worker_threads import with_threads

GC_THRESHOLDS: Final = (700, 3, 10_000)
"""Tables make thousands of rows and readings a second, and none in a circle: what was made lately is walked in small
pieces, and all there is (a tenth of a second where there are 10,000 endpoints) once in many minutes."""
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 78
"""EX_CONFIG of sysexits.h: restarting will not help."""
log = structlog.get_logger("weftmesh.router")


async def route(config: RouterConfig) -> None:
    """Go on until SIGTERM or SIGINT.

    Raises:
        WeftmeshError: it cannot begin.
        OSError: the state directory cannot be used.
    """
    router = Router(config, secrets.SystemRandom())
    running = asyncio.create_task(router.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


def main() -> None:
    """Parse the command line and run."""
    try:
        config = parse_arguments()
    except WeftmeshError as error:
        print(f"weftmesh.router: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    configure_logging(config.log_level, "json" if config.log_format == "json" else "console")
    share_heaps()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with suppress(PermissionError):  # a sandbox may show it no more than its own directory
            check_formats(config.state_dir.parent)
        with only_one(config.state_dir, "router", "give this one a --state-dir of its own"):
            uvloop.run(route(config), loop_factory=with_threads(uvloop.new_event_loop))
    except (WeftmeshError, OSError) as error:
        log.critical("the router stopped", why=str(error))
        sys.exit(EXIT_CONFIG if isinstance(error, ConfigError | UnsupportedFormatError) else EXIT_FAILED)


if __name__ == "__main__":
    main()
