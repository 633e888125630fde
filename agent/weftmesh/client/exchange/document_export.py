"""Writing tasks as JSON that another tracker's import reads, and that ours reads back without a loss."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import TextIO

from weftmesh.board.v1 import board_pb2
from weftmesh.client.exchange.mappings import zone_named
from weftmesh.client.exchange.messages import existing_task
from weftmesh.client.exchange.spool import task_spool
from weftmesh.core.exchange.boardcsv import NAME
from weftmesh.core.exchange.extension import References
from weftmesh.core.exchange.github_export import github_issue
from weftmesh.core.exchange.planned import ExistingTask
from weftmesh.core.exchange.taskwarrior_export import taskwarrior_task, uuid_of

_Document = Callable[[ExistingTask, References], dict[str, object]]


async def export_github(tasks: AsyncIterator[board_pb2.Task], out: TextIO) -> int:
    """Writes a JSON array of issues, one a line; returns the number of tasks."""
    return await _export(tasks, out, github_issue, uuids=False)


async def export_taskwarrior(tasks: AsyncIterator[board_pb2.Task], out: TextIO, time_zone: str) -> int:
    """Writes a JSON array of tasks, one a line; returns the number of tasks.

    Args:
        tasks: to write.
        out: open with encoding="utf-8".
        time_zone: the IANA name of the zone in which days begin.

    Raises:
        InvalidInputError: there is no such time zone.
    """
    zone = zone_named(time_zone, "--time-zone")

    def document(task: ExistingTask, references: References) -> dict[str, object]:
        return taskwarrior_task(task, references, time_zone, zone)

    return await _export(tasks, out, document, uuids=True)


async def _export(tasks: AsyncIterator[board_pb2.Task], out: TextIO, document: _Document, *, uuids: bool) -> int:
    """Every task is seen before the first is written, since they name one another."""
    origins: dict[str, str] = {}
    with task_spool() as spool:
        async for task in spool.fill(tasks):
            origins[task.name] = task.origin or f"{NAME}:{task.key}"

        def uuid(name: str) -> str:
            return uuid_of(name, origins.get(name, ""))

        references = References(origins, uuid) if uuids else References(origins)
        out.write("[")
        for place, task in enumerate(spool):
            out.write(",\n" if place else "\n")
            out.write(json.dumps(document(existing_task(task), references), ensure_ascii=False))
        out.write("\n]\n")
    return len(origins)
