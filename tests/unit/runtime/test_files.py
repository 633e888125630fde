from __future__ import annotations

from pathlib import Path

import pytest

from weftmesh.core.errors import PreconditionError
from weftmesh.runtime.files import make_private_directory, read_private, write_atomic


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_is_replaced_whole_and_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_atomic(path, b"one")
    write_atomic(path, b"two")

    assert read_private(path) == b"two"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_survives_a_write_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.mkdir()

    with pytest.raises(OSError, match="secret"):
        write_atomic(path, b"a directory cannot be replaced by a file")

    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("exposed", [0o640, 0o604, 0o644, 0o666])
def test_a_secret_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path, exposed: int) -> None:
    path = tmp_path / "secret"
    write_atomic(path, b"x", mode=exposed)

    with pytest.raises(PreconditionError, match=f"chmod 600 {path}"):
        read_private(path)


def test_private_directories_are_closed_to_others_and_may_exist(tmp_path: Path) -> None:
    make_private_directory(tmp_path / "a" / "b")
    make_private_directory(tmp_path / "a" / "b")

    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == [0o700, 0o700]
