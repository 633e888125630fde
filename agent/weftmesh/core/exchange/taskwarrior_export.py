"""Tasks as `task import` reads them; the board's exact values travel in an attribute of their own, one text of JSON.

Taskwarrior keeps attributes that it does not know. What it does know is written in its words, so that the list is of
use there: a description becomes an annotation, a day the instant at which it begins. How a task recurs is not written
in them: Taskwarrior would take an instance for a template.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from weftmesh.core.board.model import DueAt, DueDate, FieldValue, Limits, Priority, Status
from weftmesh.core.exchange.dates import day_start, moment_of
from weftmesh.core.exchange.entries import time_in
from weftmesh.core.exchange.extension import ATTRIBUTE, References, extension_of
from weftmesh.core.exchange.planned import ExistingTask
from weftmesh.core.exchange.remarks import Remark, split
from weftmesh.core.exchange.values import blank, iso_utc

NAME: Final = "taskwarrior"
"""The prefix of origins: taskwarrior:UUID."""

_EXACT: Final = frozenset({"title"})
_STATUSES: Final = {Status.DONE: "completed", Status.CANCELLED: "deleted"}
_PRIORITIES: Final = {Priority.URGENT: "H", Priority.HIGH: "H", Priority.NORMAL: "M", Priority.LOW: "L"}
_TAG: Final = re.compile(r"[^\W\d][\w.@-]*")
_TIMES: Final = {"custom.wait": "wait", "custom.scheduled": "scheduled", "custom.until": "until"}
_ULID_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NO_TIME: Final = datetime(1980, 1, 2, tzinfo=UTC)
"""For a task whose board did not say when it made it; Taskwarrior takes no earlier dates everywhere."""


def uuid_of(name: str, origin: str) -> str:
    """Taskwarrior's own for a task that came from there; for any other the 128 bits of its id on the board."""
    if origin.startswith(f"{NAME}:"):
        try:
            return str(uuid.UUID(origin.removeprefix(f"{NAME}:")))
        except ValueError:
            pass  # an origin that somebody made up
    value = 0
    for character in name.rpartition("/")[2]:
        value = value << 5 | _ULID_ALPHABET.index(character)
    return str(uuid.UUID(int=value & ((1 << 128) - 1)))


def taskwarrior_task(task: ExistingTask, references: References, zone_name: str, zone: tzinfo) -> dict[str, object]:
    """One task. `zone` is the one in which its days begin."""
    project_id = task.name.split("/")[1]
    attributes = task_attributes(task.fields, task.created, project_id, zone)
    depends_on = task.value("depends_on")
    if isinstance(depends_on, frozenset) and depends_on:
        attributes["depends"] = sorted(references.aliases(name) for name in depends_on)
    extension = extension_of(task, references, left_out=_EXACT, zone=zone_name)
    attributes[ATTRIBUTE] = json.dumps(extension, ensure_ascii=False, sort_keys=True)
    return {"uuid": references.aliases(task.name), **attributes}


def task_attributes(fields: Mapping[str, FieldValue], created: str, project_id: str, zone: tzinfo) -> dict[str, object]:
    """What Taskwarrior's own attributes say of a task; empty ones are left out."""

    def value(path: str) -> FieldValue:
        return fields.get(path, blank(path))

    number = value("status")
    status = Status(number) if isinstance(number, int) else Status.TODO
    entry = time_in(value("custom.created")) or time_in(created) or _NO_TIME
    labels = value("labels")
    due = value("due")
    attributes: dict[str, object] = {
        "status": _STATUSES.get(status, "pending"),
        "description": value("title"),
        "project": _project(value("custom.project")) or project_id,
        "entry": stamp(entry),
        "modified": _stamp_of(value("custom.updated")),
        "start": stamp(time_in(value("custom.started")) or entry) if status is Status.DOING else None,
        "end": stamp(time_in(value("custom.resolved")) or entry) if status in _STATUSES else None,
        "due": _due(due, zone) if isinstance(due, DueDate | DueAt) else None,
        "priority": _priority(value("priority")),
        "tags": sorted(filter(_TAG.fullmatch, labels)) if isinstance(labels, frozenset) else [],
        "annotations": _annotations(value("description"), created, fields),
    }
    attributes |= {name: _stamp_of(value(path)) for path, name in _TIMES.items()}
    return {name: found for name, found in attributes.items() if found not in (None, "", [])}


def text_stamp(created: str, fields: Mapping[str, FieldValue], remarks: Sequence[Remark]) -> str:
    """When the annotation that carries a description's text says it was made: no two may be of the same second."""
    at = time_in(fields.get("custom.created")) or time_in(created) or _NO_TIME
    taken = {remark.at for remark in remarks}
    at = at.replace(microsecond=0)
    while iso_utc(at) in taken:
        at += timedelta(seconds=1)
    return iso_utc(at)


def stamp(moment: datetime) -> str:
    """Such as 20261121T090000Z."""
    return (
        moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat().replace("-", "").replace(":", "") + "Z"
    )


def _annotations(description: FieldValue, created: str, fields: Mapping[str, FieldValue]) -> list[dict[str, str]]:
    text, remarks = split(description) if isinstance(description, str) else ("", [])
    if text:
        remarks = [*remarks, Remark(text_stamp(created, fields, remarks), text)]
    ordered = sorted(remarks, key=lambda remark: remark.at)
    return [{"entry": remark.at.replace("-", "").replace(":", ""), "description": remark.text} for remark in ordered]


def _project(value: FieldValue) -> str:
    """The project that Taskwarrior had called so; empty when nothing like it can be written there."""
    plain = isinstance(value, str) and value.isprintable() and value == value.strip()
    return value if plain and isinstance(value, str) and len(value) <= Limits.NAME_CHARACTERS else ""


def _priority(value: FieldValue) -> str:
    return _PRIORITIES.get(Priority(value), "") if isinstance(value, int) else ""


def _due(due: DueDate | DueAt, zone: tzinfo) -> str:
    return stamp(day_start(due, zone) if isinstance(due, DueDate) else moment_of(due))


def _stamp_of(value: FieldValue) -> str | None:
    moment = time_in(value)
    return stamp(moment) if moment else None
