"""Issues of GitHub, as `gh issue list --json` prints them or as the REST API returns them, to tasks.

Field names and words follow GitHub's public documentation of both; where the two differ, either is understood. What has
no field of its own becomes a custom field, comments go to the end of the description, and the rest is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from weftmesh.core.board.model import CUSTOM_PREFIX, FieldValue, Limits, Status
from weftmesh.core.exchange.entries import (
    Dropped,
    Entry,
    count_customs,
    custom_path,
    moment_text,
    read_moment,
    scalar_text,
    storable,
    time_in,
)
from weftmesh.core.exchange.extension import ATTRIBUTE, Extension, read_extension
from weftmesh.core.exchange.github_export import issue_fields
from weftmesh.core.exchange.github_names import (
    is_repository,
    number_of_url,
    origin_of,
    project_of,
    repository_of_url,
)
from weftmesh.core.exchange.problems import CellError, Problem
from weftmesh.core.exchange.remarks import Remark, joined_that_fit
from weftmesh.core.exchange.rows import CUSTOM_FIELDS, ImportedTask, Seen
from weftmesh.core.exchange.values import epoch_ms, single_line
from weftmesh.core.ids import is_project_id

_STATUSES: Final = {"open": Status.TODO, "closed": Status.DONE}
_REASONS: Final = {"not_planned": Status.CANCELLED, "duplicate": Status.CANCELLED}
_TIMES: Final = {
    "custom.created": ("createdAt", "created_at"),
    "custom.updated": ("updatedAt", "updated_at"),
    "custom.resolved": ("closedAt", "closed_at"),
}
_PLUMBING: Final = frozenset(
    {
        "id", "node_id", "url", "html_url", "repository_url", "labels_url", "comments_url", "events_url",
        "timeline_url", "comments", "assignee", "pull_request", "isPullRequest", "repository", "author_association",
        "authorAssociation", "performed_via_github_app", "score", "isPinned", "pinned_comment", "closed", "locked",
        "draft", "sub_issues_summary", "issue_dependencies_summary", "issue_field_values", "body_html", "body_text",
        ATTRIBUTE,
    }
)  # fmt: skip
"""Addresses, internal ids, counts of other things, and what only repeats other fields."""


@dataclass(frozen=True, slots=True)
class GithubOptions:
    """What the file may not say.

    Attributes:
        project: every issue goes there; empty for one named after its repository.
        repository: OWNER/NAME of entries that do not say it.
    """

    project: str = ""
    repository: str = ""


class GithubReader:
    """Reads the entries of one file; implements `documents.EntryReader`."""

    def __init__(self, file: str, options: GithubOptions) -> None:
        self._file = file
        self._options = options
        self._dropped = Dropped(file)

    def read(self, line: int, value: object) -> ImportedTask | tuple[Problem, ...] | None:
        """The task in one entry, or at least one problem; None for a pull request, which is counted."""
        if not isinstance(value, dict):
            message = "an entry has to be a JSON object"
            return (Problem(self._file, line, "", "", message, "export with gh issue list --json, or the REST API"),)
        if value.get("pull_request") is not None or value.get("isPullRequest") is True:
            self._dropped.add("pull requests", "pull requests are not issues and were left out", "nothing to do")
            return None
        entry = Entry(self._file, line, value)
        task = self._task(entry)
        return tuple(entry.problems) if entry.problems else task

    def finish(self, rows: list[ImportedTask]) -> list[ImportedTask]:
        """All rows, now that the last one is known."""
        return rows

    @property
    def notes(self) -> tuple[Problem, ...]:
        """What was left out, counted."""
        return self._dropped.notes()

    def _task(self, entry: Entry) -> ImportedTask:
        number = entry.number("number")
        extension = self._extension(entry)
        repository = self._repository(entry, needed=extension is None)
        fields = self._fields(entry)
        created = time_in(fields.get("custom.created"))
        origin = origin_of(repository, number)
        references: dict[str, tuple[str, ...]] = {}
        if parent := self._parent(entry):
            references["parent"] = (parent,)
        seen = None
        if extension is not None:
            fields = extension.refine(fields, self._ghost(entry, extension))
            origin = extension.origin or origin
            references = {"parent": (extension.parent,) if extension.parent else ()}
            references["depends_on"] = tuple(extension.depends_on.values())
            seen = Seen(extension.etag, extension.created) if extension.etag else None
        if count_customs(fields) > CUSTOM_FIELDS:
            entry.problem("", None, f"more than {CUSTOM_FIELDS} custom fields", "export fewer fields")
        project = self._options.project or (extension.project if extension else _project_of(repository))
        if (repository or extension) and not is_project_id(project):
            entry.problem("repository", repository, "names no project", "name one with --project")
        return ImportedTask(
            project_id=project,
            project_title=repository or project,
            origin=origin,
            number_hint=number,
            fields=fields,
            references=references,
            aliases=(origin, origin_of(repository, number)) if repository else (origin,),
            line=entry.line,
            created_ms=max(0, epoch_ms(created)) if created else 0,
            seen=seen,
        )

    def _repository(self, entry: Entry, *, needed: bool) -> str:
        named = entry.get("repository")
        named = named.get("nameWithOwner", named.get("full_name")) if isinstance(named, dict) else named
        addresses = [entry.get(name) for name in ("url", "html_url")]
        api = entry.get("repository_url")
        if isinstance(api, str):
            addresses.append(f"/{'/'.join(api.rstrip('/').split('/')[-2:])}/issues/0")
        found = [repository_of_url(address) for address in addresses if isinstance(address, str)]
        candidates = [named if isinstance(named, str) else "", *found, self._options.repository]
        repository = next((name for name in candidates if is_repository(name)), "")
        if needed and not repository:
            fix = "export the field url too, or name the repository with --repo OWNER/NAME"
            entry.problem("url", None, "the entry does not say which repository it is of", fix)
        return repository

    def _parent(self, entry: Entry) -> str:
        parent = entry.get("parent")
        url = parent.get("url") if isinstance(parent, dict) else entry.get("parent_issue_url")
        if isinstance(url, str) and repository_of_url(url) and number_of_url(url):
            return origin_of(repository_of_url(url), number_of_url(url))
        return ""

    def _extension(self, entry: Entry) -> Extension | None:
        document = entry.get(ATTRIBUTE)
        if document is None:
            return None
        return entry.attempt(ATTRIBUTE, None, lambda: read_extension(document))

    def _ghost(self, entry: Entry, extension: Extension) -> dict[str, FieldValue]:
        """What the entry would say if nobody had changed it since the export."""
        said = issue_fields(extension.fields, extension.created, extension.origin)
        ghost = Entry(self._file, entry.line, {name: value for name, value in said.items() if entry.has(name)})
        return _Fields(ghost, Dropped(self._file)).all()

    def _fields(self, entry: Entry) -> dict[str, FieldValue]:
        return _Fields(entry, self._dropped).all()


class _Fields:
    """The fields of one entry by path: those that the entry names, blank where it has no value."""

    def __init__(self, entry: Entry, dropped: Dropped) -> None:
        self._entry = entry
        self._dropped = dropped
        self._fields: dict[str, FieldValue] = {}

    def all(self) -> dict[str, FieldValue]:
        """Every path."""
        entry, fields = self._entry, self._fields
        fields["title"] = entry.title(Limits.TITLE_CHARACTERS, "title")
        if entry.has("body", "comments"):
            fields["description"] = self._description()
        self._state()
        if entry.has("labels"):
            fields["labels"] = self._labels()
        if entry.has("assignees", "assignee"):
            self._assignees()
        self._milestone()
        for path, names in _TIMES.items():
            if entry.has(*names):
                fields[path] = moment_text(entry.moment(*names))
        self._people_and_places()
        self._rest()
        return fields

    def _description(self) -> str:
        body = self._entry.text("body")
        size_bytes = len(body.encode())
        if size_bytes > Limits.DESCRIPTION_BYTES:
            message = f"{size_bytes:,} bytes, the limit is {Limits.DESCRIPTION_BYTES:,}"
            self._entry.problem("body", body, message, "shorten it; it is not cut silently")
            return ""
        comments = self._entry.get("comments")
        if not isinstance(comments, list):
            if isinstance(comments, int) and comments > 0:
                fix = "gh issue list --json comments exports them"
                self._dropped.add("comments", "comments are only counted in this export", fix, comments)
            return body
        remarks = [remark for one in comments if (remark := self._remark(one)) is not None]
        description, left_out = joined_that_fit(body, remarks)
        if left_out:
            self._dropped.add("comments", "comments did not fit into descriptions", count=left_out)
        return description

    def _remark(self, comment: object) -> Remark | None:
        if isinstance(comment, dict) and isinstance(comment.get("body"), str):
            said: str = comment["body"]
            at = comment.get("createdAt", comment.get("created_at"))
            text = f"{_login(comment.get('author', comment.get('user')))}: {said}"
            return self._entry.attempt("comments", said, lambda: _remark(at, text))
        self._entry.problem("comments", comment, "is not a comment", "export it again")
        return None

    def _state(self) -> None:
        entry = self._entry
        if not entry.has("state"):
            return
        word = entry.text("state").casefold()
        reason = entry.line_of(Limits.NAME_CHARACTERS, "stateReason", "state_reason").casefold()
        if word not in _STATUSES:
            entry.problem("state", word, "is neither open nor closed", "export it again")
            return
        status = _STATUSES[word]
        self._fields["status"] = _REASONS.get(reason, status) if status is Status.DONE else status
        self._fields["custom.state_reason"] = reason or None

    def _labels(self) -> FieldValue:
        names = []
        for one in self._entry.items("labels"):
            name = one.get("name") if isinstance(one, dict) else one
            if isinstance(name, str) and name.strip():
                names.append(self._entry.attempt("labels", name, partial(_name, name)))
            else:
                self._entry.problem("labels", one, "is not a label", "export it again")
        labels = frozenset(name for name in names if name)
        if len(labels) > Limits.SET_ITEMS:
            message = f"{len(labels)} labels, the limit is {Limits.SET_ITEMS}"
            self._entry.problem("labels", None, message, "remove some")
        return labels

    def _assignees(self) -> None:
        entry = self._entry
        people = entry.items("assignees") or [entry.get("assignee")]
        logins = list(dict.fromkeys(login for one in people if one is not None and (login := _login(one))))
        self._fields["assignee"] = entry.attempt("assignees", None, lambda: _name(logins[0])) if logins else ""
        self._custom("assignees", "; ".join(logins) if len(logins) > 1 else None)

    def _milestone(self) -> None:
        if not self._entry.has("milestone"):
            return
        milestone = self._entry.get("milestone")
        found = milestone if isinstance(milestone, dict) else {"title": milestone}
        self._custom("milestone", found.get("title"))
        due = found.get("dueOn", found.get("due_on"))
        at = self._entry.attempt("milestone", due, lambda: read_moment(due)) if isinstance(due, str) and due else None
        self._fields["custom.milestone_due"] = moment_text(at)

    def _people_and_places(self) -> None:
        entry = self._entry
        if entry.has("author", "user"):
            self._custom("author", _login(entry.get("author", "user")) or None)
        if entry.has("html_url", "url"):
            self._custom("url", entry.get("html_url", "url"))
        for name in ("type", "issueType"):
            if entry.has(name):
                kind = entry.get(name)
                self._custom("type", kind.get("name") if isinstance(kind, dict) else kind)
        if entry.get("locked") is True:
            self._custom("locked", True)

    def _rest(self) -> None:
        for name, value in self._entry.rest(_PLUMBING):
            path = custom_path(name)
            if isinstance(value, dict | list) or path in self._fields:
                self._dropped.add(name, "values have no place on a board")
            else:
                self._custom(path.removeprefix(CUSTOM_PREFIX), value)

    def _custom(self, key: str, value: object) -> None:
        text = self._entry.attempt(key, value, lambda: scalar_text(value))
        self._fields[CUSTOM_PREFIX + key] = text or None


def _project_of(repository: str) -> str:
    return project_of(repository.rpartition("/")[2])


def _remark(at: object, text: str) -> Remark | None:
    moment = read_moment(at) if isinstance(at, str) and at else None
    if moment is None:
        raise CellError("is a comment without a time", "export it again")
    return Remark(f"{moment.replace(microsecond=0, tzinfo=None).isoformat()}Z", storable(text))


def _name(text: str) -> str:
    return single_line(storable(text), Limits.NAME_CHARACTERS)


def _login(person: object) -> str:
    if isinstance(person, Mapping):
        person = person.get("login", person.get("name"))
    return person if isinstance(person, str) else ""
