"""What a Task message and an update mask say, as field values of the core."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from weftmesh.board.v1 import board_pb2
from weftmesh.core.board.model import CUSTOM_PREFIX, PLAIN_PATHS, DueAt, DueDate, FieldValue, Priority, Status
from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.rpc_status import FIELD_KEY
from weftmesh.runtime.wire.resources import TIMESTAMP_SECONDS_MAX

TIMESTAMP_SECONDS_MIN: Final = -62_135_596_800
"""The first second of the year 1."""
ZONES_REMEMBERED: Final = 1_024
ZONE_CHARACTERS_MAX: Final = 64
_ZONE_SHAPE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")
_ALL: Final = "*"
_CUSTOM: Final = "custom"
_PRESENCE: Final = frozenset({"estimate", "due"})
"""Fields that say whether they are set; of the others, the default counts as not set."""

Resolve = Callable[[str], str]
"""From a task's resource name, key or id to its id; raises NotFoundError."""


def written_paths(task: board_pb2.Task, mask: Iterable[str], known_custom_keys: Iterable[str]) -> list[str]:
    """Return the paths that a write sets, `custom` spelled out key by key.

    Args:
        task: the values; without a mask, every field that is set in it is written.
        mask: of the request; `*` means every field.
        known_custom_keys: keys that `custom` and `*` clear when `task` does not have them.

    Raises:
        InvalidInputError: a path is not one that can be written.
    """
    given = list(mask)
    if not given:
        given = _populated(task)
        if not task.custom:
            return given
        given += [CUSTOM_PREFIX + key for key in sorted(task.custom)]
    paths: dict[str, None] = {}
    for path in given:
        if path == _ALL:
            paths.update(dict.fromkeys(PLAIN_PATHS))
        if path in (_ALL, _CUSTOM):
            keys = {*task.custom, *known_custom_keys}
            paths.update(dict.fromkeys(CUSTOM_PREFIX + key for key in sorted(keys)))
        elif path in PLAIN_PATHS or (path.startswith(CUSTOM_PREFIX) and path != CUSTOM_PREFIX):
            paths[path] = None
        else:
            raise InvalidInputError(
                f"update_mask: {path[:80]!r} cannot be written; name some of {', '.join(PLAIN_PATHS)}, custom, "
                "custom.KEY",
                metadata={FIELD_KEY: "update_mask"},
            )
    return list(paths)


def _populated(task: board_pb2.Task) -> list[str]:
    return [path for path in PLAIN_PATHS if (task.HasField(path) if path in _PRESENCE else getattr(task, path))]


def field_values(task: board_pb2.Task, paths: Iterable[str], resolve: Resolve) -> dict[str, FieldValue]:
    """Return path -> value for `paths`; a custom key that `task` does not have is None.

    Raises:
        InvalidInputError: a value is not one that its field can have.
        NotFoundError: `parent` or `depends_on` names a task that does not exist.
    """
    values: dict[str, FieldValue] = {}
    for path in paths:
        if path.startswith(CUSTOM_PREFIX):
            values[path] = task.custom.get(path[len(CUSTOM_PREFIX) :])
        else:
            values[path] = _READERS[path](task, resolve)
    return values


def base_values(task: board_pb2.Task, paths: Iterable[str], resolve: Resolve) -> dict[str, FieldValue]:
    """Return `field_values` of what the writer saw; a status that is not set was not seen."""
    seen = [path for path in paths if path != "status" or task.status]
    return field_values(task, seen, resolve)


def _status(task: board_pb2.Task, _: Resolve) -> FieldValue:
    if task.status == board_pb2.TASK_STATUS_UNSPECIFIED:
        raise _wrong("status", "is in the update mask but not set; set it, or take it out of the mask")
    return _enum_value("status", Status, task.status)


def _priority(task: board_pb2.Task, _: Resolve) -> FieldValue:
    return _enum_value("priority", Priority, task.priority)


def _enum_value(path: str, kind: type[Status] | type[Priority], number: int) -> FieldValue:
    try:
        return kind(number)
    except ValueError:
        known = ", ".join(f"{int(member)} ({member.name.lower()})" for member in kind)
        raise _wrong(path, f"{number} is not one this version knows; send one of {known}") from None


def _estimate(task: board_pb2.Task, _: Resolve) -> FieldValue:
    if not task.HasField("estimate"):
        return None
    if not math.isfinite(task.estimate):
        raise _wrong("estimate", f"{task.estimate} is not a finite number; send one, or leave it unset to clear it")
    return task.estimate


def _due(task: board_pb2.Task, _: Resolve) -> FieldValue:
    kind = task.due.WhichOneof("kind")
    if kind is None:
        if task.HasField("due"):
            raise _wrong("due", "has neither a date nor an instant; set one of them, or leave due unset to clear it")
        return None
    return DueDate(_iso_date(task.due.date)) if kind == "date" else _due_at(task.due.at)


def _iso_date(text: str) -> str:
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise _wrong("due.date", f"{text[:40]!r} is not a day; send ISO 8601, such as 2026-11-21")


def _due_at(at: board_pb2.ZonedTime) -> DueAt:
    if not at.HasField("time"):
        raise _wrong("due.at.time", "is not set; send an instant, or a date")
    if not TIMESTAMP_SECONDS_MIN <= at.time.seconds <= TIMESTAMP_SECONDS_MAX or not 0 <= at.time.nanos < 10**9:
        raise _wrong("due.at.time", "is outside the years 1 to 9999; correct it")
    zone = at.zone or "UTC"
    if not is_zone(zone):
        raise _wrong("due.at.zone", f"{zone[:80]!r} is not an IANA zone; send one such as Europe/Helsinki, or UTC")
    return DueAt(at.time.seconds * 1_000 + at.time.nanos // 1_000_000, zone)


def is_zone(name: str) -> bool:
    """Whether `name` is an IANA zone; on a host without the zone database, whether it has the shape of one."""
    # The length is checked before anything is remembered.
    return 0 < len(name) <= ZONE_CHARACTERS_MAX and _is_known_zone(name)


@lru_cache(maxsize=ZONES_REMEMBERED)
def _is_known_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return not available_timezones() and _ZONE_SHAPE.fullmatch(name) is not None
    return True


def _parent(task: board_pb2.Task, resolve: Resolve) -> FieldValue:
    return resolve(task.parent) if task.parent else ""


def _text(path: str) -> Callable[[board_pb2.Task, Resolve], FieldValue]:
    def read(task: board_pb2.Task, _: Resolve) -> FieldValue:
        text: str = getattr(task, path)
        return text

    return read


def _wrong(path: str, what: str) -> InvalidInputError:
    return InvalidInputError(f"{path}: {what}", metadata={FIELD_KEY: f"task.{path}"})


_READERS: Final[Mapping[str, Callable[[board_pb2.Task, Resolve], FieldValue]]] = {
    "title": _text("title"),
    "description": _text("description"),
    "status": _status,
    "assignee": _text("assignee"),
    "priority": _priority,
    "labels": lambda task, _: frozenset(task.labels),
    "estimate": _estimate,
    "due": _due,
    "parent": _parent,
    "depends_on": lambda task, resolve: frozenset(map(resolve, task.depends_on)),
}
