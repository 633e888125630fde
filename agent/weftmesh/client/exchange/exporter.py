"""Writing tasks as CSV, which an import reads back, or as JSON lines, which hold every field with its type."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from google.protobuf import timestamp_pb2

from weftmesh.board.v1 import board_pb2
from weftmesh.client.exchange.messages import created_text, due_of
from weftmesh.client.exchange.spool import task_spool
from weftmesh.core.board.model import CUSTOM_PREFIX, DueAt, DueDate, Priority, Status
from weftmesh.core.exchange.boardcsv import LEADING_COLUMNS, TRAILING_COLUMNS
from weftmesh.core.exchange.mapping import DIGESTS_KEY
from weftmesh.core.exchange.values import iso_utc

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def export_jsonl(tasks: AsyncIterator[board_pb2.Task], out: TextIO) -> int:
    """Writes one JSON object a line, keys in a fixed order; returns the number of tasks."""
    count = 0
    async for task in tasks:
        out.write(json.dumps(_json(task), ensure_ascii=False) + "\n")
        count += 1
    return count


async def export_csv(tasks: AsyncIterator[board_pb2.Task], out: TextIO) -> int:
    """Writes a header and one row a task; returns the number of tasks. Open `out` with newline="".

    The columns depend on the custom fields of all tasks, so these wait in a temporary file until the last has come.
    Parents and dependencies are named by key. What imports remember about themselves is left out.
    """
    custom: set[str] = set()
    keys: dict[str, str] = {}
    with task_spool() as spool:
        async for task in spool.fill(tasks):
            custom.update(task.custom)
            keys[task.name] = task.key
        writer = csv.writer(out, lineterminator="\n")
        custom_keys = sorted(custom - {DIGESTS_KEY})
        writer.writerow([*LEADING_COLUMNS, *(CUSTOM_PREFIX + key for key in custom_keys), *TRAILING_COLUMNS])
        for task in spool:
            writer.writerow(_cells(task, custom_keys, keys))
    return len(keys)


def _cells(task: board_pb2.Task, custom_keys: Sequence[str], keys: dict[str, str]) -> list[str]:
    leading = [
        task.key,
        task.origin,
        task.title,
        task.description,
        Status(task.status or Status.TODO).name.lower(),
        task.assignee,
        Priority(task.priority).name.lower(),
        _list(sorted(task.labels)),
        repr(task.estimate) if task.HasField("estimate") else "",
        _due_cell(task),
        keys.get(task.parent, task.parent),
        _list(sorted(keys.get(name, name) for name in task.depends_on)),
    ]
    times = [created_text(task), _time(task, "update_time") or "", _time(task, "delete_time") or ""]
    trailing = [*times, str(task.version), str(task.revision), task.etag]
    return [*leading, *(task.custom.get(key, "") for key in custom_keys), *trailing]


def _list(items: list[str]) -> str:
    return json.dumps(items, ensure_ascii=False) if items else ""


def _due_cell(task: board_pb2.Task) -> str:
    """A day, or an instant with the zone it was meant in: 2026-11-21T09:00:00+02:00[Europe/Helsinki] (RFC 9557)."""
    due = due_of(task)
    if due is None or isinstance(due, DueDate):
        return due.iso if due else ""
    return f"{_local(due)}[{due.zone}]"


def _local(due: DueAt) -> str:
    moment = _EPOCH + timedelta(milliseconds=due.epoch_ms)
    try:
        return moment.astimezone(ZoneInfo(due.zone)).isoformat()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return moment.isoformat()  # a zone that this machine does not know: the instant is still right


def _json(task: board_pb2.Task) -> dict[str, object]:
    due = due_of(task)
    return {
        "name": task.name,
        "key": task.key,
        "origin": task.origin,
        "title": task.title,
        "description": task.description,
        "status": Status(task.status or Status.TODO).name.lower(),
        "assignee": task.assignee,
        "priority": Priority(task.priority).name.lower(),
        "labels": sorted(task.labels),
        "estimate": task.estimate if task.HasField("estimate") else None,
        "due": {"date": due.iso} if isinstance(due, DueDate) else due and {"at": _local(due), "zone": due.zone},
        "parent": task.parent,
        "depends_on": sorted(task.depends_on),
        "custom": dict(sorted(task.custom.items())),
        "created": created_text(task) or None,
        "updated": _time(task, "update_time"),
        "deleted": _time(task, "delete_time"),
        "updated_by": task.updated_by,
        "open_conflicts": task.open_conflicts,
        "version": task.version,
        "revision": task.revision,
        "etag": task.etag,
    }


def _time(task: board_pb2.Task, name: Literal["update_time", "delete_time"]) -> str | None:
    if not task.HasField(name):
        return None
    stamp: timestamp_pb2.Timestamp = getattr(task, name)
    return iso_utc(stamp.ToDatetime(UTC))
