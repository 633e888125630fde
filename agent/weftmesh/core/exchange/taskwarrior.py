"""Tasks of Taskwarrior, as `task export` prints them, to tasks of a board.

Attribute names, statuses and dates (UTC, as 20261121T090000Z) follow Taskwarrior's public documentation. What
recurs is a template there, and its instances are tasks: these are imported, templates are counted. Annotations go to
the end of the description; attributes that no field has, a person's own ones too, become custom fields.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from weftmesh.core.board.model import CUSTOM_PREFIX, FieldValue, Limits
from weftmesh.core.exchange.entries import (
    Dropped,
    Entry,
    count_customs,
)
from weftmesh.core.exchange.extension import ATTRIBUTE, Extension, read_extension
from weftmesh.core.exchange.github_names import project_of
from weftmesh.core.exchange.problems import CellError, Problem
from weftmesh.core.exchange.rows import CUSTOM_FIELDS, ImportedTask, Seen
from weftmesh.core.exchange.taskwarrior_export import NAME, task_attributes
from weftmesh.core.exchange.taskwarrior_fields import TaskwarriorFields, TaskwarriorOptions
from weftmesh.core.exchange.values import epoch_ms
from weftmesh.core.ids import is_project_id

_TEMPLATE: Final = "recurring"
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


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
        reader = TaskwarriorFields(entry, self._dropped, self._options, extension)
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
        ghost = TaskwarriorFields(Entry("", entry.line, said), Dropped(""), self._options, extension)
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


def _document(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        raise CellError("is not JSON", "leave the attribute as it was exported, or remove it") from None
