"""Mappings from a file and from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.client.exchange.mappings import MappingOptions, build_mapping
from weftmesh.core.board.model import Priority, Status
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.exchange.rows import ImportedTask, RowReader

FILE = """
[columns]
key = "ID"
title = "Name"
due = "Faellig"
"custom.team" = "Squad"
[status]
"Ready for QA" = "doing"
[priority]
"P1" = "urgent"
[options]
name = "redmine"
project = "OPS"
time_zone = "Europe/Berlin"
time_formats = ["%d.%m.%Y %H:%M"]
delimiter = ";"
separator = ","
keep_unknown = false
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mapping.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_file_says_everything_about_a_table(tmp_path: Path) -> None:
    mapping = build_mapping("csv", file=written(tmp_path, FILE))

    header = ["ID", "Name", "status", "priority", "Squad", "Faellig", "labels", "Other"]
    row = RowReader(header, mapping, "list.csv").read(
        2, ["4711", "One", "ready for qa", "p1", "Blue", "21.11.2026 10:00", "a, b", "x"]
    )
    assert isinstance(row, ImportedTask)
    assert (row.project_id, row.origin, row.number_hint) == ("OPS", "redmine:4711", 0)
    assert row.fields["status"] == Status.DOING
    assert row.fields["priority"] == Priority.URGENT
    assert row.fields["custom.team"] == "Blue"
    assert row.fields["labels"] == frozenset({"a", "b"})
    assert "custom.other" not in row.fields
    assert str(row.fields["due"]).count("Europe/Berlin") == 1
    assert mapping.delimiter == ";"


def test_the_command_line_goes_before_the_file(tmp_path: Path) -> None:
    options = MappingOptions(
        assignments=("title=Subject", "status:Ready for QA=blocked"), project="NET", time_zone="UTC", delimiter="\t"
    )

    mapping = build_mapping("csv", options, written(tmp_path, FILE))

    assert (mapping.project, mapping.zone_name, mapping.delimiter) == ("NET", "UTC", "\t")
    assert mapping.columns["subject"] == "title"
    assert "name" not in mapping.columns
    assert mapping.statuses["ready for qa"] is Status.BLOCKED


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[colums]\n", "no table [colums]"),
        ("[columns]\ntitel = 'X'\n", "no field 'titel'"),
        ("[columns]\ntitle = 3\n", "has to be a text"),
        ("[status]\nOdd = 'doingg'\n", "'doingg' is not a status; use one of todo"),
        ("[options]\ntime_zone = 'Mars/Olympus'\n", "no time zone 'Mars/Olympus'"),
        ("[options]\ncolour = 'red'\n", "no option 'colour'"),
        ("[options]\nproject = 3\n", "project has to be of type str"),
        ("[options]\ndelimiter = ';;'\n", "one character"),
        ("[options]\nname = 'A:B'\n", "small letters"),
        ("nonsense", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        build_mapping("csv", file=written(tmp_path, text))
    assert words in str(caught.value)


@pytest.mark.parametrize("assignment", ["title", "=Column", "title=", "status:Odd=odd", "titel=Column"])
def test_a_wrong_assignment_is_refused(assignment: str) -> None:
    with pytest.raises(InvalidInputError):
        build_mapping("csv", MappingOptions(assignments=(assignment,)))


def test_an_unknown_mapping_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match="csv, jira, weftmesh"):
        build_mapping("trello")
