"""The fields of one task of Taskwarrior by path; one that Taskwarrior left out is blank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Final

from weftmesh.core.board.model import DueAt, FieldValue, Limits, Priority, Status
from weftmesh.core.exchange.dates import as_day
from weftmesh.core.exchange.entries import (
    Dropped,
    Entry,
    custom_path,
    moment_text,
    read_moment,
    scalar_text,
    storable,
)
from weftmesh.core.exchange.extension import ATTRIBUTE, Extension
from weftmesh.core.exchange.problems import CellError
from weftmesh.core.exchange.remarks import Remark, joined_that_fit, split
from weftmesh.core.exchange.taskwarrior_export import text_stamp
from weftmesh.core.exchange.values import epoch_ms, iso_utc, single_line

_STATUSES: Final = {
    "pending": Status.TODO,
    "waiting": Status.TODO,
    "completed": Status.DONE,
    "deleted": Status.CANCELLED,
}
_PRIORITIES: Final = {"H": Priority.HIGH, "M": Priority.NORMAL, "L": Priority.LOW}
_TIMES: Final = {
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


class TaskwarriorFields:
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
        for path, name in _TIMES.items():
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
