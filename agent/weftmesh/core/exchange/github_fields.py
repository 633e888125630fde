"""The fields of one issue of GitHub by path: those that the entry names, blank where it has no value."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from weftmesh.core.board.model import CUSTOM_PREFIX, FieldValue, Limits, Status
from weftmesh.core.exchange.entries import (
    Dropped,
    Entry,
    custom_path,
    moment_text,
    read_moment,
    scalar_text,
    storable,
)
from weftmesh.core.exchange.extension import ATTRIBUTE
from weftmesh.core.exchange.problems import CellError
from weftmesh.core.exchange.remarks import Remark, joined_that_fit
from weftmesh.core.exchange.values import single_line

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


class GithubFields:
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
