"""Metrics of a process beside a node: on a Unix socket of its own, from where the node hands them on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.metrics.http_server import HttpServer
from weftmesh.runtime.metrics.loop_lag import LOOP_LAG, LoopLag
from weftmesh.runtime.metrics.model import Collector
from weftmesh.runtime.metrics.pages import own_pages
from weftmesh.runtime.metrics.process import PROCESS_METRICS, ProcessCollector
from weftmesh.runtime.metrics.registry import REGISTRY_METRICS, Registry

COMMON_METRICS: Final = (*PROCESS_METRICS, *REGISTRY_METRICS, LOOP_LAG)
"""What every process exports."""
HELP: Final = "a Unix socket to serve metrics on; the node hands them on as /metrics/NAME"

log = structlog.get_logger("weftmesh.metrics")


def always_ready() -> str:
    """For a process that is ready while it runs."""
    return ""


@asynccontextmanager
async def served_beside(
    path: Path | None, collectors: Sequence[Collector], why_not_ready: Callable[[], str] = always_ready
) -> AsyncIterator[None]:
    """Serve while the block runs. A process does not end because its metrics cannot be served.

    Args:
        path: of the socket; None for nowhere.
        collectors: of the process, beside the common ones.
        why_not_ready: see `own_pages`.
    """
    if path is None:
        yield
        return
    registry, lag = Registry(), LoopLag()
    every: tuple[Collector, ...] = (ProcessCollector(), lag, *collectors)
    for collector in every:
        registry.add(collector)
    server = HttpServer(own_pages(registry, why_not_ready))
    try:
        await server.listen_beside(path)
    except PreconditionError as error:
        log.error("nobody can scrape this process", why=str(error))  # noqa: TRY400, the message says it all
    measuring = asyncio.create_task(lag.run())
    try:
        yield
    finally:
        measuring.cancel()
        await server.close()
