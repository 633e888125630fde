"""What a process serves over HTTP: its metrics, and whether it is alive and ready."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from weftmesh.runtime.metrics.http_server import Answer, Page
from weftmesh.runtime.metrics.registry import Registry
from weftmesh.runtime.metrics.text import chosen_format, written

METRICS_PATH: Final = "/metrics"
HEALTHY_PATH: Final = "/-/healthy"
READY_PATH: Final = "/-/ready"


def own_pages(registry: Registry, why_not_ready: Callable[[], str]) -> dict[str, Page]:
    """The three pages.

    Args:
        registry: of the process.
        why_not_ready: empty when it is ready.
    """

    async def metrics(headers: Mapping[str, str]) -> Answer:
        form = chosen_format(headers.get("accept", ""))
        return Answer(written(registry.collect(), form), form.content_type)

    async def healthy(_headers: Mapping[str, str]) -> Answer:
        return Answer(b"healthy\n")  # to answer takes the event loop, which is what this asks for

    async def ready(_headers: Mapping[str, str]) -> Answer:
        if why := why_not_ready():
            return Answer(f"not ready: {why}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)
        return Answer(b"ready\n")

    return {METRICS_PATH: metrics, HEALTHY_PATH: healthy, READY_PATH: ready}
