"""Every file of a node has a format, and a later one is refused by the name of the file before anything is changed."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from weftmesh.agent.features.data_dir import check_data_dir
from weftmesh.agent.raft.log.format import pack_segment_header
from weftmesh.agent.raft.log.recovery import recover
from weftmesh.core.errors import DataCorruptionError, InvalidInputError, PreconditionError
from weftmesh.core.forecast import finish_bytes, model_bytes
from weftmesh.mesh.v1 import backup_pb2
from weftmesh.runtime.data_formats import FILE_NAME, FORMATS, UnsupportedFormatError, check_formats, note_formats
from weftmesh.runtime.identity.tokens import TokenStore
from weftmesh.runtime.wire.backup_parts import PartsChecker
from weftmesh.runtime.wire.snapshot_file import SnapshotReader


def note(data_dir: Path, **document: Any) -> None:
    (data_dir / FILE_NAME).write_text(json.dumps({"format": 1, "files": {}} | document))


@pytest.mark.parametrize("name", FORMATS)
def test_a_later_format_is_refused_by_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    note(tmp_path, files={name: FORMATS[name].reads + 1})
    before = (tmp_path / FILE_NAME).read_bytes()

    with pytest.raises(UnsupportedFormatError, match="install the version of weftmesh that wrote it") as caught:
        check_data_dir(tmp_path)

    assert str(tmp_path / name) in str(caught.value)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_what_this_build_writes_it_reads(tmp_path: Path) -> None:
    note_formats(tmp_path)

    check_data_dir(tmp_path)

    assert all(each.writes <= each.reads for each in FORMATS.values())


def test_a_directory_of_a_build_that_noted_nothing_is_let_in(tmp_path: Path) -> None:
    check_formats(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_what_only_other_builds_know_stays_noted(tmp_path: Path) -> None:
    note(tmp_path, files={"later": 3})

    check_formats(tmp_path)
    note_formats(tmp_path)

    assert json.loads((tmp_path / FILE_NAME).read_text())["files"]["later"] == 3


def test_a_later_form_of_the_notes_is_refused_and_damaged_notes_are_told(tmp_path: Path) -> None:
    note(tmp_path, format=2)
    with pytest.raises(UnsupportedFormatError, match=FILE_NAME):
        check_formats(tmp_path)

    (tmp_path / FILE_NAME).write_text("[]")
    with pytest.raises(DataCorruptionError, match="remove the file"):
        check_formats(tmp_path)


# Files that say it themselves


def later_log(directory: Path) -> None:
    (directory / f"{1:016x}.wal").write_bytes(pack_segment_header(1, 7, format_=2))
    recover(directory)


def later_snapshot(directory: Path) -> None:
    opening = b"WEFTSNAP" + struct.pack("<I", 2)
    path = directory / "1-1.snapshot"
    path.write_bytes(opening + struct.pack("<I", crc32(opening)))
    with path.open("rb") as stream:
        SnapshotReader(stream, path).header()


def later_backup(_directory: Path) -> None:
    opening = backup_pb2.BackupOpening(format=2, version="9.9", boards=[backup_pb2.BackupBoard()])
    PartsChecker().take(backup_pb2.BackupPart(opening=opening))


def later_tokens(directory: Path) -> None:
    path = directory / "tokens.json"
    path.write_text(json.dumps({"format": 2, "tokens": []}))
    path.chmod(0o600)
    TokenStore(path).records()


@pytest.mark.parametrize("open_later", [later_log, later_snapshot, later_backup, later_tokens])
def test_a_file_that_says_that_it_is_of_a_later_format_is_refused(
    tmp_path: Path, open_later: Callable[[Path], None]
) -> None:
    with pytest.raises(PreconditionError, match="is of format 2, and this build reads 1") as caught:
        open_later(tmp_path)

    assert caught.value.reason == "UPGRADE_NEEDED"


@pytest.mark.parametrize(
    ("magic", "decode"), [(b"WMEFFORT", model_bytes.decode_model), (b"WMFINISH", finish_bytes.decode_model)]
)
def test_a_model_of_a_later_format_is_refused(magic: bytes, decode: Callable[[bytes], object]) -> None:
    with pytest.raises(InvalidInputError, match="upgrade this node or train anew"):
        decode(magic + struct.pack("<H", 2) + bytes(10_000))
