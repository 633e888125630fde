from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core import ids
from weftmesh.core.errors import InvalidInputError

ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
project_ids = st.from_regex(r"[A-Z][A-Z0-9_]{1,15}", fullmatch=True)
numbers = st.integers(min_value=1, max_value=999_999_999)


@given(st.integers(min_value=0, max_value=2**48 - 1), st.integers())
def test_a_ulid_is_one_and_holds_its_time(now_ms: int, seed: int) -> None:
    ulid = ids.new_ulid(now_ms, random.Random(seed))
    assert ids.is_ulid(ulid)
    assert ids.ulid_ms(ulid) == now_ms


def test_ulids_sort_by_time_and_differ_within_a_millisecond() -> None:
    rng = random.Random(1)
    assert ids.new_ulid(1_000, rng) < ids.new_ulid(1_001, rng) < ids.new_ulid(2**47, rng)
    assert len({ids.new_ulid(5, rng) for _ in range(1_000)}) == 1_000


def test_the_time_of_the_specs_example() -> None:
    assert ids.ulid_ms(ULID) == 1_469_922_850_259


@pytest.mark.parametrize("now_ms", [-1, 2**48])
def test_a_time_beyond_48_bits_is_refused(now_ms: int) -> None:
    with pytest.raises(InvalidInputError, match="clock"):
        ids.new_ulid(now_ms, random.Random(0))


@pytest.mark.parametrize(
    "text",
    ["", ULID.lower(), ULID[:-1], ULID + "0", "8" + ULID[1:], ULID[:-1] + "U", ULID[:-1] + "I", ULID + "\n", "PROJ-12"],
)
def test_what_is_no_ulid(text: str) -> None:
    assert not ids.is_ulid(text)


@given(project_ids, numbers)
def test_a_key_splits_into_its_parts(project_id: str, number: int) -> None:
    assert ids.split_key(f"{project_id}-{number}") == (project_id, number)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "PROJ",
        "PROJ-",
        "-12",
        "PROJ-0",
        "PROJ-012",
        "PROJ--1",
        "proj-12",
        "P-1",
        "PROJ-1x",
        "PROJ-\u0661",
        "PROJ-1\n",
    ],
)
def test_what_is_no_key(key: str) -> None:
    assert ids.split_key(key) is None


@given(project_ids, numbers, numbers)
def test_names_parse_back(project_id: str, number: int, conflict: int) -> None:
    assert ids.parse_project_name(ids.project_name(project_id)) == project_id
    by_id = ids.TaskRef(project_id, task_id=ULID)
    by_key = ids.TaskRef(project_id, number=number)
    assert ids.parse_task_name(ids.task_name(project_id, ULID)) == by_id
    assert ids.parse_task_name(ids.task_name(project_id, f"{project_id}-{number}")) == by_key
    assert ids.parse_task_name(f"tasks/{project_id}-{number}") == by_key
    assert ids.parse_conflict_name(ids.conflict_name(project_id, ULID, conflict)) == (by_id, conflict)


@pytest.mark.parametrize(
    "project_id", ["", "P", "proj", "1PROJ", "_PROJ", "PROJ-1", "A" * 17, "PROJ\n", "PR\u00d6J", "-"]
)
def test_what_is_no_project_id(project_id: str) -> None:
    assert not ids.is_project_id(project_id)
    with pytest.raises(InvalidInputError, match="project id"):
        ids.parse_project_name(f"projects/{project_id}")


@pytest.mark.parametrize(
    "name", ["", "PROJ", "projects", "projects/PROJ/", "projects/PROJ/tasks/" + ULID, "tasks/PROJ-1"]
)
def test_what_is_no_project_name(name: str) -> None:
    with pytest.raises(InvalidInputError, match="write projects/PROJ"):
        ids.parse_project_name(name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "not a task's name"),
        ("PROJ-12", "not a task's name"),
        ("tasks/" + ULID, "not a task's name"),
        ("projects/PROJ", "not a task's name"),
        (f"projects/PROJ/tasks/{ULID}/", "not a task's name"),
        (f"projects/proj/tasks/{ULID}", "not a project id"),
        ("projects/PROJ/tasks/12", "neither a ULID nor a key such as PROJ-12"),
        ("projects/PROJ/tasks/OTHER-12", "write tasks/OTHER-12"),
    ],
)
def test_what_is_no_task_name(name: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        ids.parse_task_name(name)


@pytest.mark.parametrize("name", [f"projects/PROJ/tasks/{ULID}", "tasks/PROJ-1/conflicts/0", "/conflicts/1"])
def test_what_is_no_conflict_name(name: str) -> None:
    with pytest.raises(InvalidInputError, match="not a conflict's name"):
        ids.parse_conflict_name(name)


def test_a_message_repeats_only_the_beginning_of_a_long_name() -> None:
    with pytest.raises(InvalidInputError) as refused:
        ids.parse_task_name("x" * 100_000)
    assert len(str(refused.value)) < 300
