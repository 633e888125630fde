"""Rows against a board: what to make, what to change, and what to leave alone.

Which side wins, field by field, when a file is imported again:

- The board already says what the file says: nothing to do.
- The file says what it said at the last import: the board's value stays, so edits on the board survive.
- Only the file changed: the file's value is written.
- Both changed to different values: the board's value stays and a note says so, on every import until the two agree or
  the caller prefers the file. Nobody's edit is overwritten silently.

"What the file said at the last import" is kept on the task itself, as digests in one custom field
(`core.exchange.digests`): a digest of the whole row could not tell which field the file changed, and the values
themselves would double the task. A row of a board's own export carries something better, the version it saw: then the
changes are written against that version and the board's own three-way merge decides.

A task that was deleted on the board stays deleted, unless the undo of an import deleted it: then the file brings it
back. Rows that vanished from the file change nothing; a mirror marks their tasks (`core.exchange.vanished`). References
between tasks are written after all tasks were made, so that their order in the file does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from weftmesh.core.board.model import CUSTOM_PREFIX, FieldValue, Limits
from weftmesh.core.exchange import mapping as to
from weftmesh.core.exchange.digests import Digests, task_id
from weftmesh.core.exchange.planned import (
    ExistingTask,
    ImportPlan,
    ImportRules,
    NewProject,
    PlannedCreate,
    PlannedRestore,
    PlannedUpdate,
)
from weftmesh.core.exchange.problems import Problem, shorten
from weftmesh.core.exchange.rows import ImportedTask
from weftmesh.core.exchange.values import blank
from weftmesh.core.exchange.vanished import VANISHED_PATH, find_vanished

DIGESTS_PATH: Final = CUSTOM_PREFIX + to.DIGESTS_KEY


def plan_import(
    rows: Sequence[ImportedTask],
    existing: Iterable[ExistingTask],
    projects: Mapping[str, bool],
    *,
    source: str,
    file: str,
    rules: ImportRules | None = None,
) -> ImportPlan:
    """Compares `rows` with the board.

    Args:
        rows: the good rows of one file.
        existing: every task, deleted ones too, of every project that the rows name.
        projects: the ids of the board's projects, and whether each is live.
        source: the mapping's name.
        file: for problems.
        rules: who wins.
    """
    return _Planner(existing, source, file, rules or ImportRules()).plan(rows, projects)


@dataclass(slots=True)
class _Planner:
    existing: Iterable[ExistingTask]
    source: str
    file: str
    rules: ImportRules
    tasks: dict[tuple[str, str], ExistingTask] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """What a reference may say, to the task's resource name."""
    create: list[PlannedCreate] = field(default_factory=list)
    restore: list[PlannedRestore] = field(default_factory=list)
    update: list[PlannedUpdate] = field(default_factory=list)
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    drift: list[Problem] = field(default_factory=list)

    def plan(self, rows: Sequence[ImportedTask], projects: Mapping[str, bool]) -> ImportPlan:
        for task in self.existing:
            self.tasks[_project_of(task.name), task.origin] = task
            for word in (task.origin, f"weftmesh:{task.key}", task.name):
                self.names.setdefault(word, task.name)
        good = self._writable(rows, projects)
        names = [self._name(row) for row in good]
        for row, name in zip(good, names, strict=True):
            self.names.update(dict.fromkeys(row.aliases, name))
        for row, name in zip(good, names, strict=True):
            present = self.tasks.get((row.project_id, row.origin))
            fields = self._with_references(row)
            if present is None:
                self._create(row, name, fields)
            else:
                self._compare(row, fields, present)
        vanished = self._mark_vanished(rows) if self.rules.mirror else 0
        titles = {row.project_id: row.project_title for row in reversed(good) if row.project_id not in projects}
        new_projects = tuple(NewProject(project_id, titles[project_id]) for project_id in sorted(titles))
        return ImportPlan(
            new_projects,
            tuple(self.create),
            tuple(self.restore),
            tuple(self.update),
            self.unchanged,
            tuple(self.problems),
            tuple(self.notes),
            tuple(self.drift),
            vanished,
        )

    def _writable(self, rows: Sequence[ImportedTask], projects: Mapping[str, bool]) -> list[ImportedTask]:
        first_lines: dict[tuple[str, str], int] = {}
        good = []
        for row in rows:
            first = first_lines.setdefault((row.project_id, row.origin), row.line)
            if first != row.line:
                message = f"the same key as the row at line {first}"
                self.problems.append(self._problem(row, to.KEY, row.origin, message, "keep one of them"))
            elif not projects.get(row.project_id, True):
                message = "the project is deleted on the board"
                fix = "undelete it, or import into another with --project"
                self.problems.append(self._problem(row, to.PROJECT, row.project_id, message, fix))
            elif row.deleted:
                fix = "nothing to do; delete it here too if it should be gone"
                self.notes.append(self._problem(row, "", row.origin, "deleted where it was exported", fix))
                self.unchanged += 1
            else:
                good.append(row)
        return good

    def _name(self, row: ImportedTask) -> str:
        task = self.tasks.get((row.project_id, row.origin))
        if task is not None:
            return task.name
        return f"projects/{row.project_id}/tasks/{task_id(row.project_id, row.origin, row.created_ms)}"

    def _with_references(self, row: ImportedTask) -> dict[str, FieldValue]:
        """The row's fields with its references as resource names; words that name no task are kept as custom fields."""
        fields = dict(row.fields)
        for path, words in row.references.items():
            found = [name for word in words if (name := self._resolve(word))]
            unknown = [word for word in words if not self._resolve(word)]
            if path == "parent":
                fields[path] = found[0] if found else ""
                unknown = [] if found else unknown
            else:
                fields[path] = frozenset(found)
            if not unknown:
                # What an earlier file could not resolve is settled now.
                fields.setdefault(CUSTOM_PREFIX + path, None)
            else:
                text = "; ".join(unknown)[: Limits.CUSTOM_VALUE_CHARACTERS]
                fields[CUSTOM_PREFIX + path] = text
                message = "names no task of this file, or of its projects on the board"
                fix = f"kept as custom.{path}; import the other task, then this file again"
                self.notes.append(self._problem(row, path, text, message, fix))
        return fields

    def _resolve(self, word: str) -> str:
        return self.names.get(word) or self.names.get(f"{self.source}:{word}", "")

    def _create(self, row: ImportedTask, name: str, fields: Mapping[str, FieldValue]) -> None:
        links = {path: fields[path] for path in row.references if fields[path] != blank(path)}
        plain = {path: value for path, value in fields.items() if path not in row.references and value != blank(path)}
        digests = Digests(self.source)
        for path, value in plain.items():
            digests.record(path, value)
        planned = plain | {DIGESTS_PATH: str(digests)}
        self.create.append(
            PlannedCreate(row.project_id, name.rpartition("/")[2], row.origin, row.number_hint, planned, row.line)
        )
        if links:
            base = {path: blank(path) for path in links} | {DIGESTS_PATH: str(digests)}
            for path, value in links.items():
                digests.record(path, value)
            changes = links | {DIGESTS_PATH: str(digests)}
            self.update.append(PlannedUpdate(name, row.origin, changes, row.line, base=base, of_new=True))

    def _compare(self, row: ImportedTask, fields: Mapping[str, FieldValue], task: ExistingTask) -> None:
        if task.taken_back:
            self._bring_back(row, fields, task)
            return
        if task.deleted:
            fix = "undelete it if it should follow the file again"
            self.notes.append(self._problem(row, "", row.origin, "deleted on the board, left so", fix))
            self.unchanged += 1
            return
        different = {path: value for path, value in fields.items() if value != task.value(path)}
        if row.seen is not None and row.seen.created == task.created:
            update = PlannedUpdate(task.name, row.origin, different, row.line, etag=row.seen.etag)
        else:
            changes = self._changes(row, fields, different, task)
            if self.rules.mirror and task.value(VANISHED_PATH) is not None:
                changes[VANISHED_PATH] = None
            base = {path: task.value(path) for path in changes}
            update = PlannedUpdate(task.name, row.origin, changes, row.line, etag=task.etag, base=base)
        if update.changes:
            self.update.append(update)
        else:
            self.unchanged += 1

    def _bring_back(self, row: ImportedTask, fields: Mapping[str, FieldValue], task: ExistingTask) -> None:
        """The task as the file has it now; what it held before the undo is history."""
        self.restore.append(PlannedRestore(task.name, row.origin, row.line))
        digests = Digests(self.source)
        for path, value in fields.items():
            digests.record(path, value)
        wanted = dict(fields) | {DIGESTS_PATH: str(digests)}
        changes = {path: value for path, value in wanted.items() if value != task.value(path)}
        if changes:
            base = {path: task.value(path) for path in changes}
            self.update.append(PlannedUpdate(task.name, row.origin, changes, row.line, base=base, of_new=True))

    def _mark_vanished(self, rows: Sequence[ImportedTask]) -> int:
        found = find_vanished(rows, self.tasks.values(), self.source, self.file, self.rules)
        self.update += found.update
        self.problems += found.problems
        return len(found.update)

    def _changes(
        self,
        row: ImportedTask,
        fields: Mapping[str, FieldValue],
        different: Mapping[str, FieldValue],
        task: ExistingTask,
    ) -> dict[str, FieldValue]:
        """What of `different` the file decides, and the digests after it."""
        stored = task.value(DIGESTS_PATH)
        digests = Digests.parse(self.source, stored if isinstance(stored, str) else "")
        if not different and not digests:
            return {}
        changes: dict[str, FieldValue] = {}
        for path, value in fields.items():
            if path not in different:
                digests.record(path, value)
            elif self._file_decides(row, path, value, digests, task):
                changes[path] = value
                digests.record(path, value)
        after = str(digests)
        if (digests and after != stored) and (changes or self._may_record(stored)):
            changes[DIGESTS_PATH] = after
        return changes

    def _file_decides(
        self, row: ImportedTask, path: str, value: FieldValue, digests: Digests, task: ExistingTask
    ) -> bool:
        """Whether the file's value is written where the two differ; if not, why is noted."""
        board_is_as_imported = digests.matches(path, task.value(path))
        if self.rules.overwrite or board_is_as_imported:
            return True
        if digests.matches(path, value):
            if self.rules.mirror:
                self._note_drift(row, path, value, task)
            return False
        if not self.rules.prefer_file:
            self._note_collision(row, path, value, task)
        return self.rules.prefer_file

    def _note_drift(self, row: ImportedTask, path: str, value: FieldValue, task: ExistingTask) -> None:
        message = f"{task.key} was edited here: it says {shorten(str(task.value(path)))!r}"
        fix = "change it in the tracker, or mirror with --force"
        self.drift.append(self._problem(row, path, str(value), message, fix))

    def _may_record(self, stored: FieldValue) -> bool:
        """Digests alone are worth a write only where an import of the same tracker left some before."""
        return isinstance(stored, str) and stored.startswith(f"{self.source}:")

    def _note_collision(self, row: ImportedTask, path: str, value: FieldValue, task: ExistingTask) -> None:
        theirs = shorten(str(task.value(path)))
        message = f"changed in the file and on the board ({theirs!r}); the board's value stays"
        fix = "make the two agree, or import with --prefer-file"
        self.notes.append(self._problem(row, path, shorten(str(value)), message, fix))

    def _problem(self, row: ImportedTask, column: str, value: str, message: str, fix: str) -> Problem:
        return Problem(self.file, row.line, column, shorten(value), message, fix)


def _project_of(name: str) -> str:
    return name.split("/")[1]
