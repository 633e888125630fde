"""A row of a table to a task as the board would hold it, or to all that is wrong with it.

Nothing of a bad row is used: whoever reads the file decides whether to stop or to skip it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from weftmesh.core.board.model import CUSTOM_PREFIX, FieldValue, Limits, Status
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.exchange import mapping as to
from weftmesh.core.exchange.mapping import ColumnMapping
from weftmesh.core.exchange.problems import CellError, Problem, shorten
from weftmesh.core.exchange.values import blank, bounded, epoch_ms, instant, items, parse, single_line
from weftmesh.core.exchange.words import normalise
from weftmesh.core.ids import is_project_id, split_key

REFERENCES: Final = ("parent", "depends_on")
"""Paths that name other tasks; a file names them by key."""

CUSTOM_FIELDS: Final = Limits.CUSTOM_FIELDS - 1 - len(REFERENCES)
"""The rest is kept for the digests, and for references that name nothing."""

_JIRA_CUSTOM: Final = re.compile(r"custom field \((.+)\)", re.IGNORECASE)
_NOT_IN_A_KEY: Final = re.compile(r"\W+")


@dataclass(frozen=True, slots=True)
class Seen:
    """Which version of the task the exporting board saw, and when that board made the task (ISO 8601 in UTC)."""

    etag: str
    created: str


@dataclass(frozen=True, slots=True)
class ImportedTask:
    """One good row."""

    project_id: str
    project_title: str
    origin: str
    """TRACKER:KEY; unique in the project."""
    number_hint: int
    """The key's number when its prefix is the project's; 0 for none."""
    fields: Mapping[str, FieldValue]
    """Every path that the table has a column for, blank where the cell is empty; without REFERENCES."""
    references: Mapping[str, tuple[str, ...]]
    """The paths of REFERENCES that the table has a column for: the keys there, as the file writes them."""
    aliases: tuple[str, ...]
    """What other rows call this one."""
    line: int
    """The row's first physical line, from 1."""
    created_ms: int = 0
    """When the tracker made it, in milliseconds since 1970; 0 when the file does not say."""
    seen: Seen | None = None
    """Only in a board's own export."""
    deleted: bool = False
    """Was deleted where the row comes from."""


class RowReader:
    """Reads the rows of one table.

    Raises:
        InvalidInputError: the header lacks a column that no row can do without, or that the mapping names.
    """

    def __init__(self, header: Sequence[str], mapping: ColumnMapping, file: str) -> None:
        names = tuple(name.strip() for name in header)
        columns, ignored = _assign(names, mapping)
        self._table = _Table(file, names, mapping, columns)
        _check_header(self._table)
        self.notes: tuple[Problem, ...] = ()
        if ignored:
            note = "columns that are not imported"
            self.notes = (Problem(file, 1, "", shorten(", ".join(ignored)), note, "map them if they are wanted"),)

    def read(self, line: int, cells: Sequence[str]) -> ImportedTask | tuple[Problem, ...]:
        """The task in `cells`, which begin at `line`, or at least one problem."""
        table = self._table
        width = len(table.header)
        if len(cells) < width or any(cells[width:]):
            message = f"{len(cells)} cells, the header has {width}"
            fix = f"quote cells that contain {table.mapping.delimiter!r} or a line break"
            return (Problem(table.file, line, "", "", message, fix),)
        return _Row(table, line, cells).task()


class _Table:
    """What all rows of a file share."""

    def __init__(
        self, file: str, header: tuple[str, ...], mapping: ColumnMapping, columns: Mapping[str, Sequence[int]]
    ) -> None:
        self.file = file
        self.header = header
        self.mapping = mapping
        self.columns = columns
        """Target to the places of the cells that feed it."""
        apart = to.ROW_TARGETS | {*REFERENCES, "status"}
        self.paths = tuple(target for target in columns if target not in apart)
        """Paths whose value depends on their own cells alone."""


def _assign(header: Sequence[str], mapping: ColumnMapping) -> tuple[dict[str, list[int]], list[str]]:
    """What each column feeds, and the headers of those that feed nothing."""
    columns: dict[str, list[int]] = {}
    ignored: dict[str, None] = {}
    for index, name in enumerate(header):
        folded = name.casefold()
        target = mapping.columns.get(folded)
        if target is None and name and folded not in mapping.ignored and mapping.keep_unknown:
            target = _custom_path(name)
        if target and target != CUSTOM_PREFIX + to.DIGESTS_KEY:
            columns.setdefault(target, []).append(index)
        elif name:
            ignored[name] = None
    return columns, list(ignored)


def _custom_path(header: str) -> str:
    """`custom.KEY` stays; another header becomes a key of small letters, digits and underscores."""
    if header.startswith(CUSTOM_PREFIX) and len(header) > len(CUSTOM_PREFIX):
        return header
    wrapped = _JIRA_CUSTOM.fullmatch(header)
    key = _NOT_IN_A_KEY.sub("_", (wrapped[1] if wrapped else header).casefold()).strip("_")
    return CUSTOM_PREFIX + (key or "column")[: Limits.NAME_CHARACTERS]


def _check_header(table: _Table) -> None:
    present = {name.casefold() for name in table.header}
    for missing in sorted(table.mapping.required - present):
        near = difflib.get_close_matches(missing, present, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidInputError(f"{table.file}:1: there is no column {missing!r}{hint}")
    if "title" not in table.columns:
        _refuse(table, "title", "")
    if to.KEY not in table.columns and to.ORIGIN not in table.columns:
        _refuse(table, to.KEY, " (it identifies a row, so that a second import updates instead of doubling)")


def _refuse(table: _Table, target: str, why: str) -> NoReturn:
    raise InvalidInputError(
        f"{table.file}:1: no column feeds {target!r}{why}; the header has: {shorten(', '.join(table.header))}; "
        f"name it with --map {target}=COLUMN, or set the delimiter if the header was not split"
    )


class _Row:
    """One row while it is read; collects every problem, not only the first."""

    def __init__(self, table: _Table, line: int, cells: Sequence[str]) -> None:
        self._table = table
        self._mapping = table.mapping
        self._line = line
        self._cells = cells
        self._problems: list[Problem] = []

    def task(self) -> ImportedTask | tuple[Problem, ...]:
        key = self._text(to.KEY)
        project_id = self._project(key)
        fields = self._fields()
        references = {path: self._references(path) for path in REFERENCES if path in self._table.columns}
        origin = self._origin(key)
        if self._problems:
            return tuple(self._problems)
        parts = split_key(key)
        return ImportedTask(
            project_id=project_id,
            project_title=" ".join(self._text(to.PROJECT_TITLE).split())[: Limits.NAME_CHARACTERS] or project_id,
            origin=origin,
            number_hint=parts[1] if parts and parts[0] == project_id else 0,
            fields=fields,
            references=references,
            aliases=tuple(word for word in (key, origin, *self._texts(to.ALIAS)) if word),
            line=self._line,
            created_ms=self._created_ms(fields),
            seen=self._seen(),
            deleted=bool(self._text(to.DELETED)),
        )

    def _project(self, key: str) -> str:
        project_id = self._mapping.project or self._text(to.PROJECT) or key.rpartition("-")[0]
        if not is_project_id(project_id):
            message = "a project's id is 2 to 16 of A-Z, 0-9 and _, and begins with a letter"
            column = to.PROJECT if to.PROJECT in self._table.columns else to.KEY
            self._problem(column, project_id, message, "name the project for all rows with --project")
        return project_id

    def _origin(self, key: str) -> str:
        origin = self._text(to.ORIGIN) or (f"{self._mapping.name}:{key}" if key else "")
        if not origin:
            self._problem(to.KEY, "", "the row has no key", "give it one that stays the same from file to file")
            return ""
        try:
            return single_line(origin, Limits.NAME_CHARACTERS)
        except CellError as error:
            self._problem(to.KEY, origin, str(error), error.fix)
            return ""

    def _fields(self) -> dict[str, FieldValue]:
        fields = {path: self._value(path) for path in self._table.paths}
        if "status" in self._table.columns:
            fields["status"] = self._status()
        if not self._text("title"):
            self._problem("title", "", "the title is empty", "give the row a title")
        for path in self._mapping.originals & self._table.columns.keys():
            fields[CUSTOM_PREFIX + path] = self._original(path)
        if to.RESOLUTION in self._table.columns:
            fields[f"{CUSTOM_PREFIX}resolution"] = self._original(to.RESOLUTION)
        customs = sum(path.startswith(CUSTOM_PREFIX) and value is not None for path, value in fields.items())
        if customs > CUSTOM_FIELDS:
            message = f"{customs} custom fields, the limit of an import is {CUSTOM_FIELDS}"
            self._problem("", "", message, "map fewer columns, or ignore unknown ones")
        return fields

    def _status(self) -> FieldValue:
        status = self._value("status")
        resolution = self._text(to.RESOLUTION)
        if status == Status.DONE and resolution:
            verdict = self._mapping.statuses.get(normalise(resolution))
            return Status.CANCELLED if verdict == Status.CANCELLED else status
        return status

    def _original(self, path: str) -> FieldValue:
        texts = self._texts(path)
        try:
            return bounded(texts[0].strip(), Limits.CUSTOM_VALUE_CHARACTERS) if texts else None
        except CellError as error:
            self._problem(path, texts[0], str(error), error.fix)
            return None

    def _value(self, path: str) -> FieldValue:
        texts = self._texts(path)
        if any("\0" in text for text in texts):
            self._problem(path, texts[0], "contains a NUL byte", "remove it; text has none")
            return blank(path)
        try:
            return parse(path, texts, self._mapping)
        except CellError as error:
            self._problem(path, texts[0], str(error), error.fix)
            return blank(path)

    def _references(self, path: str) -> tuple[str, ...]:
        texts = self._texts(path)
        if path == "parent":
            return tuple(dict.fromkeys(text.strip() for text in texts))
        keys = tuple(dict.fromkeys(key for text in texts for key in items(text, self._mapping.separator)))
        if len(keys) > Limits.SET_ITEMS:
            self._problem(path, texts[0], f"{len(keys)} tasks, the limit is {Limits.SET_ITEMS}", "remove some")
        return keys

    def _created_ms(self, fields: Mapping[str, FieldValue]) -> int:
        created = fields.get("custom.created") or self._text(to.BOARD_CREATED)
        if not isinstance(created, str) or not created:
            return 0
        try:
            return max(0, epoch_ms(instant(created, self._mapping)))
        except CellError:
            return 0  # it only orders identifiers

    def _seen(self) -> Seen | None:
        etag = self._text(to.ETAG)
        return Seen(etag, self._text(to.BOARD_CREATED)) if etag else None

    def _texts(self, target: str) -> list[str]:
        cells = self._cells
        return [cells[index] for index in self._table.columns.get(target, ()) if cells[index]]

    def _text(self, target: str) -> str:
        texts = self._texts(target)
        return texts[0].strip() if texts else ""

    def _problem(self, target: str, value: str, message: str, fix: str) -> None:
        indexes = self._table.columns.get(target, ())
        column = next((self._table.header[index] for index in indexes if self._cells[index]), "")
        column = column or (self._table.header[indexes[0]] if indexes else target)
        self._problems.append(Problem(self._table.file, self._line, column, shorten(value), message, fix))
