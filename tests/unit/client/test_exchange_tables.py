"""Reading tables: line numbers, and files that are not what they seem."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weftmesh.client.exchange.mappings import build_mapping
from weftmesh.client.exchange.tables import read_rows, read_table
from weftmesh.core.errors import InvalidInputError

TEXT = 'Issue key,Summary,Description\nP1-1,One,"two\nlines"\n\nP1-2,Two,x\n'


def written(folder: Path, data: bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_row_has_the_line_it_begins_at(tmp_path: Path, pack: type[bytes]) -> None:
    path = written(tmp_path, pack(TEXT.encode()))

    assert [line for line, _ in read_rows(path)] == [1, 2, 5]


def test_line_ends_inside_a_cell_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path, b'Issue key,Summary,Description\r\nP1-1,One,"a\r\nb\rc"\r\n')

    assert list(read_rows(path))[1] == (2, ["P1-1", "One", "a\r\nb\rc"])


def test_a_byte_order_mark_is_not_part_of_the_header(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbf" + TEXT.encode())

    assert len(read_table(path, build_mapping("jira")).rows) == 2


def test_another_encoding_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, "Issue key,Summary\nP1-1,Öl wechseln\n".encode("cp1252"))

    table = read_table(path, build_mapping("jira"), encoding="cp1252")
    assert table.rows[0].fields["title"] == "Öl wechseln"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"Issue key,Summary\nP1-1,\xff\n", ":2: byte 6 is not utf-8"),
        ("Issue key,Summary\n".encode("utf-16"), "UTF-16"),
        (b'Issue key,Summary\nP1-1,"never closed\nP1-2,x\n', ":2: the row that begins here"),
        (gzip.compress(TEXT.encode() * 200)[:-20], "cut short"),
        (b"\x1f\x8b\x08garbage garbage garbage", "damaged"),
        (b"Nothing,Known\n1,2\n", "no column feeds 'title'"),
        (b"Summary\nOne\n", "no column feeds 'key'"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(tmp_path: Path, data: bytes, words: str) -> None:
    path = written(tmp_path, data)

    with pytest.raises(InvalidInputError) as caught:
        read_table(path, build_mapping("jira", file=None))
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"absent\.csv: cannot be read"):
        read_table(tmp_path / "absent.csv", build_mapping("jira"))


def test_an_unknown_encoding_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no encoding"):
        read_table(written(tmp_path, TEXT.encode()), build_mapping("jira"), encoding="klingon")


@given(data=st.binary(max_size=400), header=st.sampled_from([b"", b"Issue key,Summary,Due date,Created\nP1-1,One,"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_the_bytes_they_give_rows_problems_or_one_input_error(
    tmp_path: Path, header: bytes, data: bytes
) -> None:
    path = written(tmp_path, header + data)

    with contextlib.suppress(InvalidInputError):
        table = read_table(path, build_mapping("jira"))
        assert bool(table.problems) == bool(table.bad_rows)


def test_there_is_a_limit_to_rows_and_lines(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT.encode())

    with pytest.raises(InvalidInputError, match=r":5: more than 2 rows"):
        list(read_rows(path, rows_max=2))
    with pytest.raises(InvalidInputError, match=r":1: longer than 20 bytes"):
        list(read_rows(path, line_bytes_max=20))
