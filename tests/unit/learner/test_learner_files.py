from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftmesh.core.aggregation.memory import AnsweredVersions, ContributorMemory
from weftmesh.core.errors import DataCorruptionError
from weftmesh.core.forecast.ordinal import TeamScale
from weftmesh.learner.memory_file import FILE_NAME, MemoryFile
from weftmesh.learner.state_file import read_document, write_document
from weftmesh.learner.team_file import TeamFile, TeamRecord

MEMORY = ContributorMemory(7, (AnsweredVersions("effort/training", 3, (5, 9)), AnsweredVersions("other/statistics")))
SCALE = TeamScale((1.0, 2.0, 3.0), (-0.5, 0.75), 2.0, (3.0, 3.0), 40)


def test_a_new_node_remembers_nothing(tmp_path: Path) -> None:
    assert MemoryFile(tmp_path).load() == ContributorMemory()


def test_what_is_remembered_is_there_again(tmp_path: Path) -> None:
    MemoryFile(tmp_path).save(ContributorMemory(3))
    MemoryFile(tmp_path).save(MEMORY)
    assert MemoryFile(tmp_path).load() == MEMORY


def test_any_damaged_byte_is_found_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    MemoryFile(tmp_path).save(MEMORY)
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    for place in range(len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataCorruptionError, match="restore it from a backup"):
            MemoryFile(tmp_path).load()


@pytest.mark.parametrize("size_bytes", [0, 1, 30, 100])
def test_a_file_that_was_cut_is_found(tmp_path: Path, size_bytes: int) -> None:
    MemoryFile(tmp_path).save(MEMORY)
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:size_bytes])
    with pytest.raises(DataCorruptionError):
        MemoryFile(tmp_path).load()


@pytest.mark.parametrize("document", [{}, {"term": "7", "answered": []}, {"term": 1, "answered": [{}]}])
def test_a_whole_file_with_something_else_in_it_is_refused(tmp_path: Path, document: dict[str, object]) -> None:
    write_document(tmp_path / FILE_NAME, document)
    with pytest.raises(DataCorruptionError):
        MemoryFile(tmp_path).load()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_a_document_survives(tmp_path_factory: pytest.TempPathFactory, document: dict[str, object]) -> None:
    path = tmp_path_factory.mktemp("document") / "file"
    write_document(path, document)
    assert read_document(path, "") == document


def test_a_whole_file_that_is_not_an_object_is_damaged(tmp_path: Path) -> None:
    body = b"[1]"
    (tmp_path / "file").write_bytes(b"weftmesh-learner 1 " + sha256(body).hexdigest().encode() + b"\n" + body)
    with pytest.raises(DataCorruptionError, match=r"something else.*do this"):
        read_document(tmp_path / "file", "do this")


def test_records_of_teams_survive_and_are_private(tmp_path: Path) -> None:
    records = TeamFile(tmp_path, "effort")
    assert records.record("FW") == TeamRecord()
    records.trained({"FW": (10.5, "projects/FW/tasks/1"), "WEB": (3.0, "a")})
    records.fitted({"FW": (SCALE, 40)}, model_version=4)
    again = TeamFile(tmp_path, "effort")
    assert again.record("FW") == TeamRecord((10.5, "projects/FW/tasks/1"), SCALE, 4, 40)
    assert again.record("WEB") == TeamRecord((3.0, "a"))
    assert (tmp_path / "teams-effort").stat().st_mode & 0o077 == 0


def test_what_was_trained_on_stays_so(tmp_path: Path) -> None:
    records = TeamFile(tmp_path, "effort")
    records.trained({"FW": (10.0, "b")})
    records.trained({"FW": (9.0, "z")})
    records.trained({"FW": (10.0, "a")})
    assert TeamFile(tmp_path, "effort").record("FW").trained_until == (10.0, "b")


@pytest.mark.parametrize("document", [{"FW": 3}, {"FW": {"trained_until": [1.0]}}, {"FW": {"other": 1}}])
def test_a_damaged_record_of_teams_says_what_to_do(tmp_path: Path, document: dict[str, object]) -> None:
    write_document(tmp_path / "teams-effort", document)
    with pytest.raises(DataCorruptionError, match="remove it and it is made again"):
        TeamFile(tmp_path, "effort")
