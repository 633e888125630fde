"""What may be written: types, shapes and limits. A value comes back as the board stores it, or is refused."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Final

from weftmesh.core.board.commands import Header
from weftmesh.core.board.compact import shared_set, shared_text
from weftmesh.core.board.model import CUSTOM_PREFIX, DueAt, DueDate, FieldValue, Limits, MergePolicy, Priority, Status
from weftmesh.core.board.plans import invalid, quoted

_PROJECT_ID = re.compile(r"[A-Z][A-Z0-9_]{1,15}")
_TASK_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_HOME = re.compile(r"mesh|node:[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_REQUEST_ID_BYTES: Final = 16
_CHECKED: Final = 4_096
"""Sets of labels and custom paths repeat from task to task; the latest ones are known to be good."""
_STAMP_MAX: Final = 2**64 - 1
_VERSION_MAX: Final = 2**63 - 1
_EPOCH_MS_MIN: Final = -62_135_596_800_000
"""The first millisecond of the year 1."""
_EPOCH_MS_MAX: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""


def check_header(header: Header) -> None:
    """Refuses a command without a writer, or with a request id that is not one."""
    if not header.actor:
        raise invalid("actor: is empty; say who writes, such as ann@node1")
    single_line("actor", header.actor, Limits.NAME_CHARACTERS)
    if len(header.request_id) not in (0, _REQUEST_ID_BYTES):
        raise invalid(f"request_id: has {len(header.request_id)} bytes; send the 16 bytes of a UUID, or none")
    if not 1 <= header.stamp <= _STAMP_MAX:
        raise invalid(f"stamp: {quoted(header.stamp)} is not a hybrid logical clock; send 1 to 2^64 - 1")


def check_project_id(project_id: str) -> None:
    """Refuses what cannot be the prefix of a key."""
    if _PROJECT_ID.fullmatch(project_id) is None:
        raise invalid(
            f"project id: {quoted(project_id)} is not 2 to 16 capital letters, digits or _, starting with a letter"
        )


def check_task_id(task_id: str, where: str = "task id") -> None:
    """Refuses what is not a ULID."""
    if _TASK_ID.fullmatch(task_id) is None:
        raise invalid(f"{where}: {quoted(task_id)} is not a ULID; send 26 characters of 0-9 and A-Z without I, L, O, U")


def check_home(home: str) -> None:
    """Refuses a home that is neither the mesh nor a node."""
    if _HOME.fullmatch(home) is None:
        raise invalid(f"home: {quoted(home)} is neither `mesh` nor `node:NAME`")


def check_version(version: int, current: int, what: str) -> None:
    """Refuses a version that cannot have been seen."""
    if not 0 <= version <= _VERSION_MAX:
        raise invalid(
            f"{what}: version {quoted(version)} cannot exist; send the version you read (now {current}), or 0 for none"
        )


def merge_policy(value: int) -> MergePolicy:
    """`value` as a policy."""
    try:
        return MergePolicy(value)
    except ValueError:
        raise invalid(f"merge policy: {quoted(value)} is none of 1 (ask), 2 (latest), 3 (reject)") from None


def single_line(where: str, text: FieldValue, limit: int) -> str:
    """A text without line breaks or other control characters, of at most `limit` characters."""
    if isinstance(text, str) and len(text) <= limit and text.isprintable():
        return text  # nearly every text, in one call: nothing that is refused below is printable
    result = free_text(where, text)
    if len(result) > limit:
        raise invalid(f"{where}: has {len(result)} characters, the limit is {limit}; shorten it")
    found = _CONTROL.search(result)
    if found is not None:
        raise invalid(f"{where}: character {found.start() + 1} is {quoted(found[0])}; use a single line of plain text")
    return result


def free_text(where: str, text: FieldValue) -> str:
    """A text that can be written as UTF-8; None is the empty one."""
    if text is None:
        return ""
    if not isinstance(text, str):
        raise invalid(f"{where}: {quoted(text)} is not a text")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise invalid(f"{where}: character {error.start + 1} is half of a surrogate pair; send UTF-8") from None
    return text


def name(where: str, text: FieldValue) -> str:
    """A short text that often repeats; may be empty."""
    return shared_text(single_line(where, text, Limits.NAME_CHARACTERS))


def _title(where: str, value: FieldValue) -> str:
    text = single_line(where, value, Limits.TITLE_CHARACTERS)
    if not text.strip():
        raise invalid(f"{where}: is empty; give 1 to {Limits.TITLE_CHARACTERS} characters")
    return text


def _description(where: str, value: FieldValue) -> str:
    text = free_text(where, value)
    size_bytes = len(text) if text.isascii() else len(text.encode())
    if size_bytes > Limits.DESCRIPTION_BYTES:
        raise invalid(
            f"{where}: has {size_bytes} bytes, the limit is {Limits.DESCRIPTION_BYTES}; link to the long part"
        )
    return text


def _status(where: str, value: FieldValue) -> Status:
    if isinstance(value, int) and not isinstance(value, bool) and value in _STATUSES:
        return _STATUSES[value]
    raise invalid(f"{where}: {quoted(value)} is none of 1 (todo), 2 (doing), 3 (blocked), 4 (done), 5 (cancelled)")


def _priority(where: str, value: FieldValue) -> Priority:
    if value is None:
        return Priority.NONE
    if isinstance(value, int) and not isinstance(value, bool) and value in _PRIORITIES:
        return _PRIORITIES[value]
    raise invalid(f"{where}: {quoted(value)} is none of 0 (none), 1 (low), 2 (normal), 3 (high), 4 (urgent)")


_STATUSES: Final = {int(status): status for status in Status}
_PRIORITIES: Final = {int(priority): priority for priority in Priority}


def _items(where: str, value: FieldValue) -> frozenset[str]:
    if value is None:
        return frozenset()
    if not isinstance(value, frozenset):
        raise invalid(f"{where}: {quoted(value)} is not a set of texts")
    check_set_size(where, value)
    return value


def check_set_size(where: str, items: frozenset[str]) -> None:
    """Refuses a set beyond the limit."""
    if len(items) > Limits.SET_ITEMS:
        raise invalid(f"{where}: would hold {len(items)} items, the limit is {Limits.SET_ITEMS}; remove some")


def _labels(where: str, value: FieldValue) -> frozenset[str]:
    return _checked_labels(where, _items(where, value))


@lru_cache(maxsize=_CHECKED)
def _checked_labels(where: str, items: frozenset[str]) -> frozenset[str]:
    for item in sorted(items):
        if not single_line(where, item, Limits.NAME_CHARACTERS).strip():
            raise invalid(f"{where}: a label is empty; give each at least one character")
    return shared_set(items)


def _task_ids(where: str, value: FieldValue) -> frozenset[str]:
    items = _items(where, value)
    for item in sorted(items):
        check_task_id(item, where)
    return items


def _parent(where: str, value: FieldValue) -> str:
    parent = free_text(where, value)
    if parent:
        check_task_id(parent, where)
    return parent


def _estimate(where: str, value: FieldValue) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        number = float(value)
        if math.isfinite(number) and number >= 0:
            return number + 0.0  # -0.0 becomes 0.0: equal values must hash alike
    raise invalid(f"{where}: {quoted(value)} is not a finite number of at least 0")


def _due(where: str, value: FieldValue) -> DueDate | DueAt | None:
    if value is None:
        return None
    if isinstance(value, DueDate):
        return _due_date(where, value)
    if not isinstance(value, DueAt):
        raise invalid(f"{where}: {quoted(value)} is neither a day nor an instant with its zone")
    if not _EPOCH_MS_MIN <= value.epoch_ms <= _EPOCH_MS_MAX:
        raise invalid(f"{where}: {quoted(value.epoch_ms)} ms is outside the years 1 to 9999")
    if not name(f"{where}: the zone", value.zone):
        raise invalid(f"{where}: the zone is empty; give an IANA name such as Europe/Helsinki, or UTC")
    return value


def _due_date(where: str, value: DueDate) -> DueDate:
    try:
        valid = _ISO_DATE.fullmatch(value.iso) is not None and bool(date.fromisoformat(value.iso))
    except ValueError:
        valid = False
    if not valid:
        raise invalid(f"{where}: {quoted(value.iso)} is not a day; write it as 2026-11-21")
    return value


_FIELDS: Final[Mapping[str, Callable[[str, FieldValue], FieldValue]]] = {
    "title": _title,
    "description": _description,
    "status": _status,
    "assignee": name,
    "priority": _priority,
    "labels": _labels,
    "estimate": _estimate,
    "due": _due,
    "parent": _parent,
    "depends_on": _task_ids,
}


def field_value(path: str, value: FieldValue, where: str = "") -> FieldValue:
    """`value` as the board stores it at `path`; None clears a field.

    Raises:
        Refusal: INVALID; the message names `where`, the path by default.
    """
    check = _FIELDS.get(path)
    if check is not None:
        return check(where or path, value)
    return _custom_value(path, value, where or path)


def _custom_value(path: str, value: FieldValue, where: str) -> str | None:
    _check_custom_path(path)
    if value is None:
        return None
    text = value if isinstance(value, str) and value.isprintable() else free_text(where, value)
    if len(text) > Limits.CUSTOM_VALUE_CHARACTERS:
        raise invalid(f"{where}: has {len(text)} characters, the limit is {Limits.CUSTOM_VALUE_CHARACTERS}; shorten it")
    return shared_text(text)


@lru_cache(maxsize=_CHECKED)
def _check_custom_path(path: str) -> None:
    key = path.removeprefix(CUSTOM_PREFIX)
    if key == path or not key.strip():
        raise invalid(f"{quoted(path)} is not a field of a task; use {', '.join(_FIELDS)} or custom.KEY")
    single_line(quoted(path), key, Limits.NAME_CHARACTERS)


def field_values(values: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """All `values` as the board stores them, in the order of their paths."""
    if len(values) > Limits.PATHS_PER_WRITE:
        raise invalid(
            f"fields: a write names {len(values)}, the limit is {Limits.PATHS_PER_WRITE}; send several writes"
        )
    checked: dict[str, FieldValue] = {}
    for path in sorted(values):
        check = _FIELDS.get(path)
        checked[path] = check(path, values[path]) if check is not None else _custom_value(path, values[path], path)
    return checked
