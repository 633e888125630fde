"""Reading JSON exports: every shape that trackers print, and files that are none."""

from __future__ import annotations

import contextlib
import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.client.exchange.documents import DEPTH_MAX, read_entries
from weftmesh.client.exchange.sources import ImportSource, github_source, taskwarrior_source
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.exchange.plan import plan_import
from weftmesh.core.exchange.rows import ImportedTask

ISSUE = {"number": 1, "title": "One", "state": "OPEN", "url": "https://github.com/acme/pump/issues/1"}
TASK = {
    "uuid": "6b9a2b0e-2f5d-4b7c-8a39-0a0a0a0a0a0a",
    "description": "One",
    "status": "pending",
    "entry": "20260101T100000Z",
    "project": "Home",
}
SOURCES: list[tuple[ImportSource, dict[str, object]]] = [(github_source(), {**ISSUE}), (taskwarrior_source(), {**TASK})]
MANY_BYTES = 12_000_000


def written(folder: Path, data: bytes | str) -> Path:
    path = folder / "export.json"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1},\n {"a": 2}]',
        '{"a": 1}\n{"a": 2}\n',
        '{"a": 1},\n{"a": 2}\n',
        '[{"a": 1}]\n[{"a": 2}]',
        '[{"a": 1}][{"a": 2}]',
        '[[{"a": 1}],\n [{"a": 2}]]',
        '[[],[{"a": 1}, {"a": 2}]]',
        "\N{ZERO WIDTH NO-BREAK SPACE}" + '[{"a": 1}, {"a": 2}]',
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_shape_of_an_export_is_read(tmp_path: Path, text: str, pack: Callable[[bytes], bytes]) -> None:
    path = written(tmp_path, pack(text.encode()))

    assert [value for _, value in read_entries(path)] == [{"a": 1}, {"a": 2}]


def test_an_entry_has_the_line_it_begins_at(tmp_path: Path) -> None:
    path = written(tmp_path, '[\n{"a":\n 1},\n\n{"b": 2}\n]\n{"c": 3}')

    assert [line for line, _ in read_entries(path)] == [2, 5, 7]


@pytest.mark.parametrize("text", ["[]", "[[]]", "[[], []]", " [\n] "])
def test_no_entries_are_an_export_too(tmp_path: Path, text: str) -> None:
    assert list(read_entries(written(tmp_path, text))) == []


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"", 1, "the file is empty"),
        (b'[{"a": 1},\n{"a": "cut', 2, "cut short"),
        (b'[{"a": 1},\n{"a": 2}', 2, "cut short"),
        (b'[{"a": 1},', 1, "cut short"),
        (b'[{"a": 1}\n{"a": 2}]', 2, "a comma is missing"),
        (b'[{"a": 1},\n{"a": tru}]', 2, "not JSON"),
        (b'[{"a": NaN}]', 1, "NaN is not JSON"),
        (b'[{"a": 1, "a": 2}]', 1, "names the same field twice"),
        (b"[" * 100_000, 1, "nested too deeply"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, 1, f"nested deeper than {DEPTH_MAX}"),
        ('[{"a": "é"}]'.encode("utf-16"), 0, "UTF-16"),
        (b'[\n{"a": "\xe9"}]', 2, "not UTF-8"),
        (b"Issue key,Summary\nPROJ-1,One\n", 1, "not JSON"),
        (gzip.compress(b"[]", mtime=0)[:-5], 0, "cut short"),
        (b'{"a": ' + b"9" * 5_000 + b"}", 1, "limit"),
    ],
)
def test_what_is_no_export_is_refused_with_its_line(tmp_path: Path, data: bytes, line: int, words: str) -> None:
    path = written(tmp_path, data)

    with pytest.raises(InvalidInputError) as caught:
        list(read_entries(path))

    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{path}:{line}: " if line else f"{path}: ")


def test_an_entry_across_windows_is_read_whole(tmp_path: Path) -> None:
    entries = [{"text": 'x\\"é' * 50_000, "number": n} for n in range(4)]

    assert [value for _, value in read_entries(written(tmp_path, json.dumps(entries)))] == entries


@pytest.mark.parametrize(
    "data",
    [
        b'[{"a": "' + b"x" * MANY_BYTES,
        b"[" + b" \n" * (MANY_BYTES // 2),
        b'[{"a": ?' + b"x" * MANY_BYTES,
        b"[" + b'{"a": 1},' * 9_000 + b'{"a": "' + b"x" * MANY_BYTES,
    ],
)
def test_memory_does_not_follow_the_file(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, data)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInputError):
            for _ in read_entries(path):
                pass
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * MANY_BYTES


def test_a_gzip_file_that_unpacks_without_end_is_stopped(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(b"[" + b'{"a":1},' * 300_000))

    with pytest.raises(InvalidInputError, match="more than 1,000 entries"):
        for _ in read_entries(path, entries_max=1_000):
            pass


@pytest.mark.parametrize("source", [source for source, _ in SOURCES])
@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_whatever_the_bytes_they_give_tasks_problems_or_one_input_error(
    tmp_path_factory: pytest.TempPathFactory, source: ImportSource, data: bytes
) -> None:
    path = written(tmp_path_factory.getbasetemp(), data)
    with contextlib.suppress(InvalidInputError):
        source.read(path)


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        st.sampled_from(["\ud800", "a\0b", "20260101T000000Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00"]),
    ),
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.dictionaries(
            st.sampled_from(["name", "login", "title", "body", "entry", "description", "fields"]), children
        ),
    ),
    max_leaves=6,
)
NAMES = (
    "number title body state stateReason labels assignees milestone author comments url created_at closedAt locked "
    "uuid description status entry end due tags annotations depends priority project recur weftmesh parent own"
)


@pytest.mark.parametrize(("source", "good"), SOURCES)
@given(wrong=st.dictionaries(st.sampled_from(NAMES.split()), JSON, max_size=4))
def test_whatever_stands_in_a_field_the_entry_is_a_task_or_has_problems(
    tmp_path_factory: pytest.TempPathFactory, source: ImportSource, good: dict[str, object], wrong: dict[str, object]
) -> None:
    path = written(tmp_path_factory.getbasetemp(), json.dumps([good | wrong]))

    table = source.read(path)

    assert len(table.rows) + table.bad_rows <= 1
    assert bool(table.problems) == bool(table.bad_rows)
    for problem in table.problems:
        assert (problem.line, bool(problem.fix)) == (1, True)
    for row in table.rows:
        assert isinstance(row, ImportedTask)
        assert str(row.fields).encode(errors="strict")


@pytest.mark.parametrize(("source", "good"), SOURCES)
def test_the_same_task_twice_is_told_with_both_lines(
    tmp_path: Path, source: ImportSource, good: dict[str, object]
) -> None:
    table = source.read(written(tmp_path, f"{json.dumps(good)}\n{json.dumps(good)}\n"))

    (problem,) = plan_import(table.rows, (), {}, source=source.name, file="export.json").problems
    assert (problem.line, "line 1" in problem.message) == (2, True)
