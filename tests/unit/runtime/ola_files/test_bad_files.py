"""What people read about bad files, word for word.

`weftmesh ola validate NAME.yaml > NAME.txt`, run in the folder of the files, writes what is expected.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.runtime.ola_files.findings import Mark
from weftmesh.runtime.ola_files.reading import FileText, Reading, read_agreements

BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"), key=lambda path: path.stem)


def read(path: Path) -> Reading:
    return read_agreements([FileText(path.name, path.read_bytes())])


def test_there_are_many_ways_to_be_wrong() -> None:
    assert len(BAD) >= 40


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_is_explained(path: Path) -> None:
    told = "".join(f"{finding}\n" for finding in read(path).findings)
    assert told == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_each_error_has_a_place_and_a_fix(path: Path) -> None:
    lines = path.read_text(errors="replace").splitlines()
    errors = read(path).errors
    assert errors
    for error in errors:
        assert Mark(1, 1) <= error.mark
        assert error.mark.line <= len(lines)
        assert error.mark.column <= len(lines[error.mark.line - 1]) + 1
        assert error.message
        assert error.fix
    assert list(errors) == sorted(errors, key=lambda one: one.mark)
