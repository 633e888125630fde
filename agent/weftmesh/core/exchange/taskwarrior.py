"""Tasks of Taskwarrior, as `task export` prints them, to tasks of a board.

Attribute names, statuses and dates (UTC, as 20261121T090000Z) follow Taskwarrior's public documentation. What
recurs is a template there, and its instances are tasks: these are imported, templates are counted. Annotations go to
the end of the description; attributes that no field has, a person's own ones too, become custom fields.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Final

from weftmesh.core.board.model import CUSTOM_PREFIX, DueAt, FieldValue, Limits, Priority, Status
from weftmesh.core.exchange.dates import as_day
from weftmesh.core.exchange.entries import (
    Dropped,
    Entry,
    count_customs,
    custom_path,
    moment_text,
    read_moment,
    scalar_text,
    storable,
)
from weftmesh.core.exchange.extension import ATTRIBUTE, Extension, read_extension
from weftmesh.core.exchange.github_names import project_of
from weftmesh.core.exchange.problems import CellError, Problem
from weftmesh.core.exchange.remarks import Remark, joined_that_fit, split
from weftmesh.core.exchange.rows import CUSTOM_FIELDS, ImportedTask, Seen
from weftmesh.core.exchange.taskwarrior_export import NAME, task_attributes, text_stamp
from weftmesh.core.exchange.values import epoch_ms, iso_utc, single_line
from weftmesh.core.ids import is_project_id

_STATUSES: Final = {
    "pending": Status.TODO,
    "waiting": Status.TODO,
    "completed": Status.DONE,
    "deleted": Status.CANCELLED,
}
_TEMPLATE: Final = "recurring"
_PRIORITIES: Final = {"H": Priority.HIGH, "M": Priority.NORMAL, "L": Priority.LOW}
TIMES: Final = {
    "custom.created": "entry",
    "custom.updated": "modified",
    "custom.resolved": "end",
    "custom.started": "start",
    "custom.wait": "wait",
    "custom.scheduled": "scheduled",
    "custom.until": "until",
}
_WORDS: Final = {"custom.recur": "recur", "custom.recurring_parent": "parent"}
_COMPUTED: Final = frozenset({"id", "urgency", "mask", "imask", "rtype", "template", "last", ATTRIBUTE})
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class TaskwarriorOptions:
    """What the file does not say.

    Attributes:
        project: every task goes there; empty for one named after the task's own project.
        zone: a due time at midnight there is a day; None keeps every due time an instant.
        zone_name: the IANA name of `zone`.
        zones: IANA name to zone, for days that an export of a board wrote.
    """

    project: str = ""
    zone: tzinfo | None = None
    zone_name: str = "UTC"
    zones: Callable[[str], tzinfo] = lambda _name: UTC


class TaskwarriorReader:
    """Reads the entries of one file; implements `documents.EntryReader`."""

    def __init__(self, file: str, options: TaskwarriorOptions) -> None:
        self._file = file
        self._options = options
        self._dropped = Dropped(file)
        self._own_attributes: set[str] = set()

    def read(self, line: int, value: object) -> ImportedTask | tuple[Problem, ...] | None:
        """The task in one entry, or at least one problem; None for a template, which is counted."""
        if not isinstance(value, dict):
            message = "an entry has to be a JSON object"
            return (Problem(self._file, line, "", "", message, "export with task export"),)
        if value.get("status") == _TEMPLATE:
            self._dropped.add("recurring", "templates of recurring tasks were left out; a board has none")
            return None
        entry = Entry(self._file, line, value)
        task = self._task(entry)
        if entry.problems:
            return tuple(entry.problems)
        if len(self._own_attributes) <= CUSTOM_FIELDS:
            self._own_attributes.update(path for path in task.fields if path.startswith(CUSTOM_PREFIX))
        return task

    def finish(self, rows: list[ImportedTask]) -> list[ImportedTask]:
        """All rows, where an attribute that only others have is blank: Taskwarrior leaves out what is empty."""
        if len(self._own_attributes) > CUSTOM_FIELDS:
            return rows
        blanks: dict[str, FieldValue] = dict.fromkeys(sorted(self._own_attributes))
        return [replace(row, fields=blanks | dict(row.fields)) for row in rows]

    @property
    def notes(self) -> tuple[Problem, ...]:
        """What was left out, counted."""
        return self._dropped.notes()

    def _task(self, entry: Entry) -> ImportedTask:
        identity = self._uuid(entry)
        extension = self._extension(entry)
        own_project = entry.line_of(Limits.NAME_CHARACTERS, "project")
        project = self._options.project or (extension.project if extension else project_of(own_project.split(".")[0]))
        if not is_project_id(project):
            entry.problem("project", own_project, "names no project of a board", "name one for all with --project")
        depends = self._depends(entry)
        reader = _Fields(entry, self._dropped, self._options, extension)
        fields = reader.all(own_project, project)
        origin = f"{NAME}:{identity}"
        parent: tuple[str, ...] = ()
        seen = None
        if extension is not None:
            fields = self._refined(entry, fields, extension, project)
            origin = extension.origin
            depends = tuple(extension.depends_on.get(alias, alias) for alias in depends)
            parent = (extension.parent,) if extension.parent else ()
            seen = Seen(extension.etag, extension.created) if extension.etag else None
        if count_customs(fields) > CUSTOM_FIELDS:
            entry.problem("", None, f"more than {CUSTOM_FIELDS} custom fields", "remove some attributes")
        created = reader.created
        return ImportedTask(
            project_id=project,
            project_title=own_project.split(".")[0] or project,
            origin=origin,
            number_hint=0,
            fields=fields,
            references={"depends_on": depends} | ({"parent": parent} if extension else {}),
            aliases=(identity, origin),
            line=entry.line,
            created_ms=max(0, epoch_ms(created)) if created else 0,
            seen=seen,
        )

    def _uuid(self, entry: Entry) -> str:
        text = entry.line_of(Limits.NAME_CHARACTERS, "uuid")
        if _UUID.fullmatch(text) is None:
            entry.problem("uuid", text, "is no uuid", "export with task export; every task has one there")
            return ""
        return str(uuid.UUID(text))

    def _extension(self, entry: Entry) -> Extension | None:
        text = entry.get(ATTRIBUTE)
        if text is None:
            return None
        return entry.attempt(ATTRIBUTE, None, lambda: read_extension(_document(text)))

    def _refined(
        self, entry: Entry, fields: Mapping[str, FieldValue], extension: Extension, project: str
    ) -> dict[str, FieldValue]:
        said = task_attributes(extension.fields, extension.created, project, self._options.zones(extension.zone))
        ghost = _Fields(Entry("", entry.line, said), Dropped(""), self._options, extension)
        refined = extension.refine(fields, ghost.all(str(said.get("project", "")), project))
        # Taskwarrior notes by itself when it last wrote a task; an import there is no change here.
        refined["custom.updated"] = extension.fields.get("custom.updated")
        return refined

    def _depends(self, entry: Entry) -> tuple[str, ...]:
        value = entry.get("depends")
        # Before version 2.6 it was one text with commas.
        found = value.split(",") if isinstance(value, str) else entry.items("depends")
        uuids = [str(one).strip().lower() for one in found if isinstance(one, str) and _UUID.fullmatch(one.strip())]
        if len(uuids) != len(found):
            entry.problem("depends", value, "names something that is no uuid", "export it again")
        if len(uuids) > Limits.SET_ITEMS:
            entry.problem("depends", None, f"{len(uuids)} tasks, the limit is {Limits.SET_ITEMS}", "remove some")
        return tuple(dict.fromkeys(uuids))


class _Fields:
    """The fields of one entry by path; a field that Taskwarrior left out is blank."""

    def __init__(
        self, entry: Entry, dropped: Dropped, options: TaskwarriorOptions, extension: Extension | None
    ) -> None:
        self._entry = entry
        self._dropped = dropped
        self._options = options
        self._extension = extension
        self._fields: dict[str, FieldValue] = {}
        self.created: datetime | None = None

    def all(self, own_project: str, project: str) -> dict[str, FieldValue]:
        """Every path, of a task that goes to `project` and is of `own_project` in Taskwarrior."""
        entry, fields = self._entry, self._fields
        fields["title"] = entry.title(Limits.TITLE_CHARACTERS, "description")
        fields["custom.project"] = own_project if own_project and own_project != project else None
        fields["status"] = self._status()
        fields["priority"] = self._priority()
        fields["labels"] = self._labels()
        fields["due"] = self._due()
        for path, name in TIMES.items():
            moment = entry.moment(name)
            fields[path] = moment_text(moment)
            if name == "entry":
                self.created = moment
        for path, name in _WORDS.items():
            fields[path] = entry.line_of(Limits.NAME_CHARACTERS, name) or None
        fields["description"] = self._description()
        self._rest()
        return fields

    def _status(self) -> FieldValue:
        word = self._entry.line_of(Limits.NAME_CHARACTERS, "status")
        if word not in _STATUSES:
            self._entry.problem("status", word, "is no status of Taskwarrior", "export it again")
            return Status.TODO
        started = _STATUSES[word] is Status.TODO and self._entry.get("start") is not None
        return Status.DOING if started else _STATUSES[word]

    def _priority(self) -> FieldValue:
        word = self._entry.line_of(Limits.NAME_CHARACTERS, "priority")
        if word and word not in _PRIORITIES:
            self._fields["custom.priority"] = word
        return _PRIORITIES.get(word, Priority.NONE)

    def _labels(self) -> FieldValue:
        entry = self._entry
        names = []
        for tag in entry.items("tags"):
            if isinstance(tag, str) and tag.strip():
                names.append(entry.attempt("tags", tag, partial(_tag, tag)))
            else:
                entry.problem("tags", tag, "is no tag", "export it again")
        labels = frozenset(name for name in names if name)
        if len(labels) > Limits.SET_ITEMS:
            entry.problem("tags", None, f"{len(labels)} tags, the limit is {Limits.SET_ITEMS}", "remove some")
        return labels

    def _due(self) -> FieldValue:
        moment = self._entry.moment("due")
        if moment is None:
            return None
        zone = self._options.zone
        day = as_day(moment, zone) if zone is not None else None
        return day or DueAt(epoch_ms(moment), self._options.zone_name)

    def _description(self) -> FieldValue:
        """The annotations; of a board's own export, the text that one of them carries apart from the others."""
        remarks = self._annotations()
        if self._extension is not None:
            described = self._extension.fields.get("description")
            text, old = split(described) if isinstance(described, str) else ("", [])
            carrier = Remark(text_stamp(self._extension.created, self._extension.fields, old), text)
            if text and carrier in remarks:
                remarks.remove(carrier)
                return self._fitting(text, remarks)
        return self._fitting("", remarks)

    def _fitting(self, text: str, remarks: list[Remark]) -> str:
        description, left_out = joined_that_fit(text, remarks)
        if left_out:
            self._dropped.add("annotations", "annotations did not fit into descriptions", count=left_out)
        return description

    def _annotations(self) -> list[Remark]:
        remarks: list[Remark] = []
        for one in self._entry.items("annotations"):
            remark = self._entry.attempt("annotations", one, partial(_annotation, one))
            if remark is not None:
                remarks.append(remark)
        ordered: list[Remark] = []
        for remark in sorted(remarks, key=lambda remark: remark.at):
            at = remark.at if not ordered or remark.at > ordered[-1].at else _next_second(ordered[-1].at)
            ordered.append(Remark(at, remark.text))
        return ordered

    def _rest(self) -> None:
        for name, value in self._entry.rest(_COMPUTED):
            path = custom_path(name)
            if isinstance(value, dict | list) or path in self._fields:
                self._dropped.add(name, "values have no place on a board")
            else:
                self._fields[path] = self._entry.attempt(name, value, partial(scalar_text, value)) or None


def _document(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        raise CellError("is not JSON", "leave the attribute as it was exported, or remove it") from None


def _tag(text: str) -> str:
    return single_line(storable(text), Limits.NAME_CHARACTERS)


def _annotation(value: object) -> Remark:
    if not isinstance(value, dict):
        raise CellError("is no annotation", "export it again")
    text, entry = value.get("description"), value.get("entry")
    moment = read_moment(entry) if isinstance(entry, str) else None
    if not isinstance(text, str) or moment is None:
        raise CellError("is an annotation without a text or a time", "export it again")
    return Remark(iso_utc(moment.replace(microsecond=0)), storable(text))


def _next_second(at: str) -> str:
    try:
        return iso_utc(datetime.fromisoformat(at) + _SECOND)
    except OverflowError:
        return at
