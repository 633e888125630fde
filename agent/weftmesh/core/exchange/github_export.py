"""Tasks as `gh issue list --json` prints issues: an import reads them back, and new issues can be made from them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import accumulate
from typing import Final

from weftmesh.core.board.model import FieldValue, Limits, Status
from weftmesh.core.exchange.entries import moment_text, time_in
from weftmesh.core.exchange.extension import ATTRIBUTE, References, extension_of
from weftmesh.core.exchange.github_names import split_origin
from weftmesh.core.exchange.planned import ExistingTask
from weftmesh.core.exchange.problems import CellError
from weftmesh.core.exchange.values import blank, single_line

_EXACT: Final = frozenset({"title", "description"})
_REASONS: Final = {Status.DONE: "COMPLETED", Status.CANCELLED: "NOT_PLANNED"}
_CANCELLED_REASONS: Final = ("not_planned", "duplicate")


def github_issue(task: ExistingTask, references: References) -> dict[str, object]:
    """One issue. Its number is GitHub's for a task that came from there, the key's for any other."""
    origin = split_origin(task.origin)
    number = origin[1] if origin else int(task.key.rpartition("-")[2])
    issue: dict[str, object] = {"number": number, **issue_fields(task.fields, task.created, task.origin)}
    issue[ATTRIBUTE] = extension_of(task, references, left_out=_EXACT)
    return issue


def issue_fields(fields: Mapping[str, FieldValue], created: str, origin: str) -> dict[str, object]:
    """What GitHub's own fields say of a task, `created` by its board then, with that origin."""

    def value(path: str) -> FieldValue:
        return fields.get(path, blank(path))

    def time(path: str) -> str | None:
        return moment_text(time_in(value(path)))

    status = _status(value("status"))
    closed = status in _REASONS
    labels = value("labels")
    milestone = value("custom.milestone")
    author = value("custom.author")
    return {
        "title": value("title"),
        "body": value("description"),
        "state": "CLOSED" if closed else "OPEN",
        "stateReason": _reason(status, value("custom.state_reason")),
        "labels": [{"name": name} for name in sorted(labels)] if isinstance(labels, frozenset) else [],
        "assignees": [{"login": login} for login in _assignees(value("assignee"), value("custom.assignees"))],
        "milestone": {"title": milestone, "dueOn": time("custom.milestone_due")} if milestone else None,
        "author": {"login": author} if author else None,
        "createdAt": time("custom.created") or created or None,
        "updatedAt": time("custom.updated"),
        "closedAt": time("custom.resolved") if closed else None,
        "url": value("custom.url") or _url(origin),
    }


def _status(value: FieldValue) -> Status:
    return Status(value) if isinstance(value, int) else Status.TODO


def _reason(status: Status, reason: FieldValue) -> str:
    """GitHub's word that was imported, where it still fits the status, and where an import takes it."""
    fits = (status is Status.CANCELLED) == (reason in _CANCELLED_REASONS)
    if isinstance(reason, str) and reason and (fits if status in _REASONS else reason == "reopened"):
        # Whatever the board holds besides, as a text of several lines, stands in the attribute alone.
        with suppress(CellError):
            return single_line(reason.upper(), Limits.NAME_CHARACTERS)
    return _REASONS.get(status, "")


def _assignees(assignee: FieldValue, everybody: FieldValue) -> list[str]:
    """The assignee first, then whom else GitHub named, as many as an import can join again."""
    first = [assignee] if isinstance(assignee, str) and assignee else []
    others = everybody.split("; ") if isinstance(everybody, str) and first else []
    logins = list(dict.fromkeys([*first, *(login for login in others if login)]))
    ends = accumulate(len(login) + len("; ") for login in logins)
    return [login for login, end in zip(logins, ends, strict=True) if end <= Limits.CUSTOM_VALUE_CHARACTERS + len("; ")]


def _url(origin: str) -> str | None:
    parts = split_origin(origin)
    return f"https://github.com/{parts[0]}/issues/{parts[1]}" if parts else None
