"""Issues of GitHub to tasks: every field finds its place, or is counted."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from weftmesh.core.board.model import Status
from weftmesh.core.exchange.github import GithubOptions, GithubReader
from weftmesh.core.exchange.problems import Problem
from weftmesh.core.exchange.rows import ImportedTask

CLI_ISSUE: Mapping[str, object] = {
    "number": 12,
    "title": "Pump leaks",
    "body": "Water everywhere.\r\n",
    "state": "CLOSED",
    "stateReason": "NOT_PLANNED",
    "labels": [{"id": "L1", "name": "bug", "description": "", "color": "d73a4a"}, {"name": "good first issue"}],
    "assignees": [{"id": "U1", "login": "ann", "name": "Ann"}, {"login": "bob"}],
    "milestone": {"number": 1, "title": "v1", "dueOn": "2026-02-01T08:00:00Z"},
    "author": {"login": "eve", "is_bot": False},
    "comments": [
        {"id": "C1", "author": {"login": "bob"}, "body": "I saw it\ntoo", "createdAt": "2026-01-03T00:00:00Z"},
    ],
    "createdAt": "2026-01-02T03:04:05Z",
    "updatedAt": "2026-01-05T00:00:00Z",
    "closedAt": "2026-01-04T00:00:00Z",
    "url": "https://github.com/acme/pump/issues/12",
    "reactionGroups": [{"content": "HEART", "users": {"totalCount": 2}}],
    "isPinned": False,
}
REST_ISSUE: Mapping[str, object] = {
    "id": 1,
    "node_id": "I_1",
    "url": "https://api.github.com/repos/acme/pump/issues/12",
    "html_url": "https://github.com/acme/pump/issues/12",
    "repository_url": "https://api.github.com/repos/acme/pump",
    "number": 12,
    "title": "Pump leaks",
    "body": None,
    "state": "open",
    "state_reason": "reopened",
    "user": {"login": "eve", "id": 7},
    "labels": [{"name": "bug"}, "plain"],
    "assignee": {"login": "ann"},
    "assignees": [{"login": "ann"}],
    "milestone": None,
    "locked": False,
    "comments": 3,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-05T00:00:00Z",
    "closed_at": None,
    "author_association": "OWNER",
    "type": {"name": "Bug"},
}


def reader(project: str = "", repository: str = "") -> GithubReader:
    return GithubReader("issues.json", GithubOptions(project, repository))


def task(entry: Mapping[str, object], found: GithubReader | None = None) -> ImportedTask:
    result = (found or reader()).read(3, dict(entry))
    assert isinstance(result, ImportedTask), result
    return result


def problems(entry: object) -> tuple[Problem, ...]:
    result = reader().read(3, entry)
    assert isinstance(result, tuple)
    return result


def test_an_issue_of_the_command_line() -> None:
    found = reader()

    row = task(CLI_ISSUE, found)

    assert (row.project_id, row.origin, row.number_hint, row.line) == ("PUMP", "github:acme/pump#12", 12, 3)
    assert row.fields == {
        "title": "Pump leaks",
        "description": "Water everywhere.\r\n\n\n--- comments ---\n[2026-01-03T00:00:00Z] bob: I saw it\n  too",
        "status": Status.CANCELLED,
        "labels": frozenset({"bug", "good first issue"}),
        "assignee": "ann",
        "custom.assignees": "ann; bob",
        "custom.milestone": "v1",
        "custom.milestone_due": "2026-02-01T08:00:00Z",
        "custom.author": "eve",
        "custom.state_reason": "not_planned",
        "custom.created": "2026-01-02T03:04:05Z",
        "custom.updated": "2026-01-05T00:00:00Z",
        "custom.resolved": "2026-01-04T00:00:00Z",
        "custom.url": "https://github.com/acme/pump/issues/12",
    }
    assert [(note.column, note.message.split()[0]) for note in found.notes] == [("reactionGroups", "1")]


def test_an_issue_of_the_rest_api() -> None:
    found = reader("PUMPS")

    row = task(REST_ISSUE, found)

    assert (row.project_id, row.origin) == ("PUMPS", "github:acme/pump#12")
    assert row.fields == {
        "title": "Pump leaks",
        "description": "",
        "status": Status.TODO,
        "labels": frozenset({"bug", "plain"}),
        "assignee": "ann",
        "custom.assignees": None,
        "custom.milestone": None,
        "custom.milestone_due": None,
        "custom.author": "eve",
        "custom.state_reason": "reopened",
        "custom.created": "2026-01-02T03:04:05Z",
        "custom.updated": "2026-01-05T00:00:00Z",
        "custom.resolved": None,
        "custom.url": "https://github.com/acme/pump/issues/12",
        "custom.type": "Bug",
    }
    assert [(note.column, note.message.split()[0]) for note in found.notes] == [("comments", "3")]


@pytest.mark.parametrize("mark", [{"pull_request": {"url": "https://x"}}, {"isPullRequest": True}])
def test_pull_requests_are_counted_and_left_out(mark: dict[str, object]) -> None:
    found = reader()

    assert found.read(1, dict(CLI_ISSUE) | mark) is None
    assert [note.message for note in found.notes] == ["1 pull requests are not issues and were left out"]


def test_a_field_that_the_export_lacks_is_left_alone_on_the_board() -> None:
    row = task({"number": 1, "title": "One", "url": "https://github.com/a/bb/issues/1"})

    assert set(row.fields) == {"title", "custom.url"}


@pytest.mark.parametrize(
    ("state", "reason", "status"),
    [
        ("OPEN", "", Status.TODO),
        ("open", "reopened", Status.TODO),
        ("CLOSED", "COMPLETED", Status.DONE),
        ("closed", None, Status.DONE),
        ("closed", "not_planned", Status.CANCELLED),
        ("CLOSED", "DUPLICATE", Status.CANCELLED),
        ("closed", "a reason of next year", Status.DONE),
    ],
)
def test_states(state: str, reason: str | None, status: Status) -> None:
    assert task(dict(CLI_ISSUE) | {"state": state, "stateReason": reason}).fields["status"] == status


@pytest.mark.parametrize(
    ("change", "column", "words"),
    [
        ({"number": "12"}, "number", "no number of an issue"),
        ({"title": "  "}, "title", "empty"),
        ({"title": None}, "title", "empty"),
        ({"title": "two\nlines"}, "title", "line break"),
        ({"title": 5}, "title", "not a text"),
        ({"body": "a\0b"}, "body", "NUL"),
        ({"body": "\ud800"}, "body", "surrogate"),
        ({"body": "x" * 70_000}, "body", "the limit is 65,536"),
        ({"state": "merged"}, "state", "neither open nor closed"),
        ({"labels": "bug"}, "labels", "not a list"),
        ({"labels": [{"colour": "red"}]}, "labels", "not a label"),
        ({"labels": [f"l{n}" for n in range(65)]}, "labels", "the limit is 64"),
        ({"createdAt": "yesterday"}, "createdAt", "not a time"),
        ({"comments": [{"body": "no time"}]}, "comments", "without a time"),
        ({"number": None}, "number", "export it again"),
        ({"number": "twelve"}, "number", "numbered from 1 on"),
        ({"url": "https://example.org/1"}, "url", "--repo"),
        ({"weftmesh": {"fields": []}}, "weftmesh", "not what an export writes"),
    ],
)
def test_what_is_wrong_is_told_with_its_field_and_a_fix(change: dict[str, object], column: str, words: str) -> None:
    found = problems(dict(CLI_ISSUE) | change)

    assert [problem.column for problem in found] == [column]
    assert words in str(found[0])
    assert (found[0].line, bool(found[0].fix)) == (3, True)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    assert {problem.column for problem in problems({"number": 0, "title": "", "state": "x"})} == {
        "number",
        "title",
        "state",
        "url",
    }


def test_comments_that_do_not_fit_are_counted_and_the_rest_is_kept() -> None:
    found = reader()
    comments = [
        {"author": {"login": "bob"}, "body": str(n) * 30_000, "createdAt": f"2026-01-0{n}T00:00:00Z"} for n in (1, 2, 3)
    ]

    row = task(dict(CLI_ISSUE) | {"comments": comments}, found)

    assert str(row.fields["description"]).count("bob: ") == 2
    assert "1 comments did not fit into descriptions" in [note.message for note in found.notes]
