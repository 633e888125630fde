"""What an export adds to another tracker's format, so that nothing is lost on the way there and back.

The board has more statuses, priorities, kinds of due dates and fields than other trackers. An export writes what they
have in their words, and beside it, in one attribute of its own, the board's exact values, where the task comes from and
which version it was. An import that finds the attribute merges by field: what the tracker's words still say as the
export wrote them keeps its exact value, what was changed there is taken from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from weftmesh.core.board.merge import merged_value
from weftmesh.core.board.model import CUSTOM_PREFIX, PLAIN_PATHS, DueAt, DueDate, FieldValue, Limits, Priority, Status
from weftmesh.core.exchange.dates import due_text, read_due
from weftmesh.core.exchange.entries import storable
from weftmesh.core.exchange.mapping import DIGESTS_KEY
from weftmesh.core.exchange.planned import ExistingTask
from weftmesh.core.exchange.problems import CellError
from weftmesh.core.exchange.rows import REFERENCES
from weftmesh.core.exchange.values import blank, bounded, single_line
from weftmesh.core.ids import is_project_id

ATTRIBUTE: Final = "weftmesh"
"""The name of the attribute."""

_DIGESTS_PATH: Final = CUSTOM_PREFIX + DIGESTS_KEY
_FIX: Final = "leave the attribute as it was exported, or remove it"


@dataclass(frozen=True, slots=True)
class Extension:
    """The attribute, read."""

    project: str
    origin: str
    etag: str
    created: str
    zone: str
    """Of days that were written as instants."""
    fields: Mapping[str, FieldValue]
    """Exact values, but for references; an absent path is blank."""
    parent: str
    depends_on: Mapping[str, str]
    """What the tracker's format calls a task, to its origin."""

    def refine(self, plain: Mapping[str, FieldValue], ghost: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
        """Exact values, with what was changed in the tracker.

        Args:
            plain: what the entry says in the tracker's words.
            ghost: what it would say if nobody had changed it.
        """
        paths = {*plain, *self.fields}
        return {path: merged_value(_at(ghost, path), _at(plain, path), _at(self.fields, path)) for path in paths}


@dataclass(slots=True)
class References:
    """How an export names other tasks: by origin, and by what the format calls them."""

    origins: Mapping[str, str]
    """Resource name to origin."""
    aliases: Callable[[str], str] = field(default=lambda name: name)
    """Resource name to the format's own name."""

    def origin(self, name: str) -> str:
        """The origin of a task; its resource name when it is not part of the export."""
        return self.origins.get(name, name)


def extension_of(task: ExistingTask, references: References, *, left_out: frozenset[str], zone: str = "UTC") -> object:
    """The attribute for `task`, for JSON.

    Args:
        task: as the board has it.
        references: how to name its parent and what it waits for.
        left_out: paths that the format holds exactly.
        zone: of days that the format writes as instants.
    """
    apart = left_out | {*REFERENCES, _DIGESTS_PATH}
    fields = {
        path: _encoded(value)
        for path, value in sorted(task.fields.items())
        if path not in apart and value != blank(path) and value is not None
    }
    document: dict[str, object] = {
        "project": task.name.split("/")[1],
        "origin": task.origin,
        "etag": task.etag,
        "created": task.created,
        "zone": zone,
        "fields": fields,
    }
    if parent := task.value("parent"):
        document["parent"] = references.origin(str(parent))
    depends_on = task.value("depends_on")
    if isinstance(depends_on, frozenset) and depends_on:
        document["depends_on"] = {references.aliases(name): references.origin(name) for name in sorted(depends_on)}
    return document


def read_extension(document: object) -> Extension:
    """The attribute in `document`.

    Raises:
        CellError: it is not what an export writes.
    """
    if not isinstance(document, dict):
        raise CellError("is not what an export writes", _FIX)
    fields = document.get("fields")
    depends_on = document.get("depends_on", {})
    if not isinstance(fields, dict) or not isinstance(depends_on, dict) or len(depends_on) > Limits.SET_ITEMS:
        raise CellError("is not what an export writes", _FIX)
    return Extension(
        project=_project(document.get("project")),
        origin=_origin(document.get("origin")),
        etag=_text(document.get("etag")),
        created=_text(document.get("created")),
        zone=_text(document.get("zone", "UTC")),
        fields={_path(path): _decoded(path, value) for path, value in fields.items()},
        parent=_text(document.get("parent", "")),
        depends_on={_text(alias): _text(origin) for alias, origin in depends_on.items()},
    )


def _project(value: object) -> str:
    if isinstance(value, str) and is_project_id(value):
        return value
    raise CellError("names no project", _FIX)


def _origin(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return single_line(value, Limits.NAME_CHARACTERS)
    raise CellError("names no origin", _FIX)


def _at(fields: Mapping[str, FieldValue], path: str) -> FieldValue:
    return fields.get(path, blank(path))


def _encoded(value: FieldValue) -> object:
    match value:
        case frozenset():
            return sorted(value)
        case DueDate() | DueAt():
            return due_text(value)
        case Status() | Priority():
            return value.name.lower()
    return value


def _path(path: object) -> str:
    custom = isinstance(path, str) and path.startswith(CUSTOM_PREFIX) and path not in (CUSTOM_PREFIX, _DIGESTS_PATH)
    if isinstance(path, str) and (custom or (path in PLAIN_PATHS and path not in REFERENCES)):
        return single_line(path, Limits.NAME_CHARACTERS)
    raise CellError(f"names no field: {str(path)[:80]!r}", _FIX)


def _decoded(path: str, value: object) -> FieldValue:
    match path:
        case "status":
            return _member(Status, value)
        case "priority":
            return _member(Priority, value)
        case "labels":
            return _labels(value)
        case "estimate":
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
                return float(value)
            raise CellError("has an estimate that is no number", _FIX)
        case "due":
            return read_due(_text(value))
        case "description":
            return _text(value, Limits.DESCRIPTION_BYTES)
        case "title" | "assignee":
            limit = Limits.TITLE_CHARACTERS if path == "title" else Limits.NAME_CHARACTERS
            return single_line(_text(value), limit)
    return _text(value, Limits.CUSTOM_VALUE_CHARACTERS)


def _labels(value: object) -> FieldValue:
    if not isinstance(value, list) or len(value) > Limits.SET_ITEMS:
        raise CellError("has labels that are no list", _FIX)
    labels = frozenset(single_line(_text(item), Limits.NAME_CHARACTERS) for item in value)
    if not all(label.strip() for label in labels):
        raise CellError("has an empty label", _FIX)
    return labels


def _member(kind: type[Status] | type[Priority], value: object) -> FieldValue:
    members: Mapping[str, FieldValue] = {member.name.lower(): member for member in kind}
    if isinstance(value, str) and value in members:
        return members[value]
    raise CellError(f"has no such {kind.__name__.lower()}", _FIX)


def _text(value: object, limit: int = Limits.NAME_CHARACTERS * 4) -> str:
    if not isinstance(value, str):
        raise CellError("is not what an export writes", _FIX)
    return bounded(storable(value), limit)
