"""Rows to tasks: headers as trackers write them, identities, and problems that can be found again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from weftmesh.core.board.model import DueDate, Limits, Priority, Status
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.exchange.jira import jira_mapping
from weftmesh.core.exchange.mapping import ColumnMapping, csv_mapping
from weftmesh.core.exchange.problems import Problem
from weftmesh.core.exchange.rows import CUSTOM_FIELDS, ImportedTask, RowReader

JIRA = jira_mapping()


def read(header: list[str], cells: list[str], mapping: ColumnMapping = JIRA) -> ImportedTask:
    result = RowReader(header, mapping, "jira.csv").read(2, cells)
    assert isinstance(result, ImportedTask), result
    return result


def problems(header: list[str], cells: list[str], mapping: ColumnMapping = JIRA) -> tuple[Problem, ...]:
    result = RowReader(header, mapping, "jira.csv").read(7, cells)
    assert not isinstance(result, ImportedTask)
    return result


def test_a_row_of_jira_server() -> None:
    cells = {
        "Summary": "One",
        "Issue key": "PROJ-12",
        "Issue id": "10012",
        "Status": "Closed",
        "Resolution": "Duplicate",
        "Priority": "Major",
        "Assignee": "ann",
        "Labels": "a",
        "Due Date": "21/Nov/26 12:00 AM",
        "Custom field (Story Points)": "3.0",
        "Custom field (Epic Link)": "E-1",
        "Inward issue link (Blocks)": "PROJ-2",
    }
    row = read([*cells, "Labels"], [*cells.values(), ""])

    assert (row.project_id, row.origin, row.number_hint) == ("PROJ", "jira:PROJ-12", 12)
    assert row.aliases == ("PROJ-12", "jira:PROJ-12", "10012")
    assert row.references == {"depends_on": ("PROJ-2",)}
    assert dict(row.fields) == {
        "title": "One",
        "status": Status.CANCELLED,
        "priority": Priority.HIGH,
        "assignee": "ann",
        "labels": frozenset({"a"}),
        "due": DueDate("2026-11-21"),
        "estimate": 3.0,
        "custom.epic_link": "E-1",
        "custom.status": "Closed",
        "custom.priority": "Major",
        "custom.resolution": "Duplicate",
    }


def test_headers_are_compared_without_case() -> None:
    assert read(["ISSUE KEY", " summary "], ["P1-1", "One"]).fields["title"] == "One"


def test_a_forced_project_keeps_the_origin_and_drops_the_number() -> None:
    row = read(["Issue key", "Summary"], ["PROJ-12", "One"], replace(JIRA, project="OPS"))

    assert (row.project_id, row.origin, row.number_hint) == ("OPS", "jira:PROJ-12", 0)


def test_repeated_unknown_columns_are_joined() -> None:
    row = read(["Issue key", "Summary", "Sprint", "Sprint", "Sprint"], ["P1-1", "One", "S1", "", "S2"])

    assert row.fields["custom.sprint"] == "S1; S2"


def test_unknown_columns_can_be_ignored_and_are_named() -> None:
    reader = RowReader(["Issue key", "Summary", "Mood", "Comment"], replace(JIRA, keep_unknown=False), "jira.csv")

    row = reader.read(2, ["P1-1", "One", "good", "long talk"])
    assert isinstance(row, ImportedTask)
    assert set(row.fields) == {"title"}
    assert [note.value for note in reader.notes] == ["Mood, Comment"]


def test_every_problem_of_a_row_is_told_with_file_line_column_and_fix() -> None:
    found = problems(["Issue key", "Summary", "Status", "Story Points"], ["P1-1", "", "Odd", "many"])

    assert [(one.file, one.line, one.column, one.value) for one in found] == [
        ("jira.csv", 7, "Story Points", "many"),
        ("jira.csv", 7, "Status", "Odd"),
        ("jira.csv", 7, "Summary", ""),
    ]
    assert all(one.message and one.fix for one in found)


@pytest.mark.parametrize(
    ("header", "cells", "words"),
    [
        (["Issue key", "Summary"], ["P1-1"], "1 cells, the header has 2"),
        (["Issue key", "Summary"], ["P1-1", "One", "surplus"], "3 cells, the header has 2"),
        (["Issue key", "Summary"], ["", "One"], "no key"),
        (["Issue key", "Summary"], ["lower-1", "One"], "2 to 16"),
        (["Issue key", "Summary"], ["P1-1", "On\0e"], "NUL"),
        (["Issue key", "Summary"], ["P1-" + "9" * 200, "One"], "200"),
        (["Issue key", "Summary"], ["P1-1", " "], "the title is empty"),
    ],
)
def test_bad_rows(header: list[str], cells: list[str], words: str) -> None:
    assert any(words in one.message for one in problems(header, cells))


def test_empty_surplus_cells_do_no_harm() -> None:
    assert read(["Issue key", "Summary"], ["P1-1", "One", "", ""]).fields["title"] == "One"


def test_too_many_custom_fields_are_a_problem() -> None:
    names = [f"Field {n}" for n in range(CUSTOM_FIELDS + 1)]

    (problem,) = problems(["Issue key", "Summary", *names], ["P1-1", "One", *names])
    assert f"{CUSTOM_FIELDS + 1} custom fields" in problem.message
    assert CUSTOM_FIELDS < Limits.CUSTOM_FIELDS


def test_a_header_without_a_key_says_what_a_key_is_for() -> None:
    with pytest.raises(InvalidInputError, match="updates instead of doubling"):
        RowReader(["Summary"], JIRA, "jira.csv")


def test_a_column_that_was_asked_for_has_to_be_there() -> None:
    mapping = csv_mapping().with_columns({"key": "ID", "title": "Nmae"})

    with pytest.raises(InvalidInputError, match="no column 'nmae'; did you mean 'name'"):
        RowReader(["ID", "Name"], mapping, "list.csv")


def test_a_long_value_is_quoted_shortened() -> None:
    (problem,) = problems(["Issue key", "Summary"], ["P1-1", "x" * 600])

    assert len(problem.value) == 80
    assert str(problem).startswith("jira.csv:7: Summary 'xxx")
