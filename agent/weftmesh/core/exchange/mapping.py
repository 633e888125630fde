"""Which column feeds which field, and how its words and times are to be read.

A column's *target* is a path of the board's model (`title`, `custom.team`), or one of the targets below, which say who
a row is rather than what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from typing import Final, TypeVar

from weftmesh.core.board.model import CUSTOM_PREFIX, PLAIN_PATHS, Priority, Status
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.exchange.words import PRIORITIES, STATUSES, normalise

KEY: Final = "key"
"""Identifies the row in its tracker, such as PROJ-12; becomes the origin, and the number of the board's key."""
PROJECT: Final = "project"
"""The project's id; without it, the key's prefix."""
PROJECT_TITLE: Final = "project_title"
"""The title of a project that has to be made."""
ALIAS: Final = "alias"
"""Another word by which other rows refer to this one."""
ORIGIN: Final = "origin"
"""The origin, ready made."""
ETAG: Final = "etag"
"""The version that an export of a board saw."""
BOARD_CREATED: Final = "board_created"
"""When the board that wrote the file made the task."""
RESOLUTION: Final = "resolution"
"""Kept as custom.resolution; turns a task that is done into one that is cancelled when it says so."""
DELETED: Final = "deleted"
"""Not empty when the task was deleted where the row comes from: such a row makes and changes nothing."""
NOTHING: Final = "nothing"
"""Not imported, and not worth a note."""

ROW_TARGETS: Final = frozenset(
    {KEY, PROJECT, PROJECT_TITLE, ALIAS, ORIGIN, ETAG, BOARD_CREATED, RESOLUTION, DELETED, NOTHING}
)

_Member = TypeVar("_Member", Status, Priority)

DIGESTS_KEY: Final = "import_digests"
"""The custom field that remembers what was imported; see `core.exchange.plan`."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """How a table of another program is read.

    Attributes:
        name: the tracker, the prefix of origins: `jira` makes jira:PROJ-12.
        columns: header, case-folded, to target. Several headers may feed one target.
        required: headers, case-folded, that the file must have because somebody asked for them by name.
        ignored: headers, case-folded, that are not imported.
        keep_unknown: whether any other column becomes a custom field.
        originals: paths whose text is kept as a custom field too, because the board's words are fewer.
        times: custom paths whose text is a time; kept as ISO 8601 in UTC.
        statuses: the tracker's words, normalised.
        priorities: the tracker's words, normalised.
        project: every row goes there; empty for each row's own.
        zone: of times that name no offset. A time that a change of clocks repeats is read as the earlier one.
        zone_name: the IANA name of `zone`.
        time_formats: strptime formats, tried after ISO 8601.
        due_is_day: whether a due time's hour means nothing.
        separator: between the items of a set in one cell; empty for white space. A JSON list is always understood.
        delimiter: between cells.
    """

    name: str
    columns: Mapping[str, str]
    required: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    keep_unknown: bool = True
    originals: frozenset[str] = frozenset({"status", "priority"})
    times: frozenset[str] = frozenset()
    statuses: Mapping[str, Status] = field(default_factory=lambda: STATUSES)
    priorities: Mapping[str, Priority] = field(default_factory=lambda: PRIORITIES)
    project: str = ""
    zone: tzinfo = UTC
    zone_name: str = "UTC"
    time_formats: tuple[str, ...] = ()
    due_is_day: bool = False
    separator: str = ";"
    delimiter: str = ","

    def with_columns(self, headers: Mapping[str, str]) -> ColumnMapping:
        """This mapping with `headers`, target to header as a person wrote them, in place of what fed those targets.

        Raises:
            InvalidInputError: a target that does not exist.
        """
        for target in headers:
            _check_target(target)
        kept = {header: target for header, target in self.columns.items() if target not in headers}
        named = {header.strip().casefold(): target for target, header in headers.items()}
        return replace(self, columns=kept | named, required=self.required | frozenset(named))

    def with_words(self, statuses: Mapping[str, str], priorities: Mapping[str, str]) -> ColumnMapping:
        """This mapping with further words, each to the name of a status or priority of the board.

        Raises:
            InvalidInputError: no such status or priority.
        """
        return replace(
            self,
            statuses=dict(self.statuses) | {normalise(word): _member(Status, name) for word, name in statuses.items()},
            priorities=dict(self.priorities)
            | {normalise(word): _member(Priority, name) for word, name in priorities.items()},
        )


def csv_mapping() -> ColumnMapping:
    """A table whose headers are the board's own field names; a person's mapping adds to it."""
    columns = {path: path for path in (*PLAIN_PATHS, KEY, PROJECT, RESOLUTION)}
    times = frozenset({"custom.created", "custom.updated", "custom.resolved"})
    return ColumnMapping(name="csv", columns=columns, times=times)


def _check_target(target: str) -> None:
    custom = target.startswith(CUSTOM_PREFIX) and len(target) > len(CUSTOM_PREFIX)
    if not custom and target not in ROW_TARGETS and target not in PLAIN_PATHS:
        known = ", ".join((*PLAIN_PATHS, *sorted(ROW_TARGETS)))
        raise InvalidInputError(f"mapping: there is no field {target!r}; fields are {known} and custom.NAME")


def _member(kind: type[_Member], name: str) -> _Member:
    try:
        return kind[name.strip().upper()]
    except KeyError:
        known = ", ".join(member.name.lower() for member in kind)
        raise InvalidInputError(f"mapping: {name!r} is not a {kind.__name__.lower()}; use one of {known}") from None
