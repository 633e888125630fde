from __future__ import annotations

import threading
from pathlib import Path

import pytest

from weftmesh.client.backup.sealing import load_identity, make_identity, parse_recipients, sealed, unsealed
from weftmesh.core.errors import (
    AlreadyExistsError,
    DataCorruptionError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)

CHUNK_BYTES = 64 * 1024
CONTENT = bytes(range(256)) * 1024


def seal(path: Path, content: bytes, *keys: str) -> None:
    with path.open("wb") as out, sealed(out, parse_recipients(keys)) as plain:
        plain.write(content)


def unseal(path: Path, identity: Path) -> bytes:
    with unsealed(path, load_identity(identity)) as plain:
        return plain.read()


@pytest.mark.parametrize("size_bytes", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, len(CONTENT)])
def test_every_recipient_reads_what_was_sealed(tmp_path: Path, size_bytes: int) -> None:
    keys = [make_identity(tmp_path / name) for name in ("one", "two")]
    seal(tmp_path / "file", CONTENT[:size_bytes], *keys)

    assert CONTENT[:64] not in (tmp_path / "file").read_bytes()
    for name in ("one", "two"):
        assert unseal(tmp_path / "file", tmp_path / name) == CONTENT[:size_bytes]


def test_somebody_elses_key_does_not_open_it(tmp_path: Path) -> None:
    seal(tmp_path / "file", CONTENT, make_identity(tmp_path / "ours"))
    make_identity(tmp_path / "theirs")
    with pytest.raises(InvalidInputError, match="not encrypted to this identity"):
        unseal(tmp_path / "file", tmp_path / "theirs")


def test_a_file_cut_short_anywhere_is_told_from_a_whole_one(tmp_path: Path) -> None:
    seal(tmp_path / "file", CONTENT, make_identity(tmp_path / "key"))
    whole = (tmp_path / "file").read_bytes()
    for size_bytes in {*range(1, 400, 7), *range(400, len(whole), CHUNK_BYTES // 3), len(whole) - 1}:
        (tmp_path / "cut").write_bytes(whole[:size_bytes])
        with pytest.raises((DataCorruptionError, InvalidInputError), match=r"cut short|no backup"):
            unseal(tmp_path / "cut", tmp_path / "key")


def test_a_changed_byte_anywhere_is_found(tmp_path: Path) -> None:
    seal(tmp_path / "file", CONTENT, make_identity(tmp_path / "key"))
    whole = (tmp_path / "file").read_bytes()
    for place in {*range(0, 300, 11), *range(300, len(whole), CHUNK_BYTES // 5), len(whole) - 1}:
        (tmp_path / "changed").write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises((DataCorruptionError, InvalidInputError)):
            unseal(tmp_path / "changed", tmp_path / "key")


def test_damage_is_the_error_though_the_reader_stumbles_over_it_first(tmp_path: Path) -> None:
    seal(tmp_path / "file", CONTENT, make_identity(tmp_path / "key"))
    (tmp_path / "cut").write_bytes((tmp_path / "file").read_bytes()[: 2 * CHUNK_BYTES])

    def read_in_vain() -> None:
        with unsealed(tmp_path / "cut", load_identity(tmp_path / "key")) as plain:
            if len(plain.read()) < len(CONTENT):
                raise ValueError("too short")

    with pytest.raises(DataCorruptionError, match="cut short"):
        read_in_vain()


def test_a_reader_that_gives_up_early_gets_its_own_error(tmp_path: Path) -> None:
    seal(tmp_path / "file", CONTENT * 8, make_identity(tmp_path / "key"))

    def read_a_little() -> None:
        with unsealed(tmp_path / "file", load_identity(tmp_path / "key")) as plain:
            plain.read(10)
            raise ValueError("seen enough")

    with pytest.raises(ValueError, match="seen enough"):
        read_a_little()
    assert not [one for one in threading.enumerate() if one.name.startswith("age")]


def test_what_the_disk_does_not_take_is_the_writers_error(tmp_path: Path) -> None:
    key = make_identity(tmp_path / "key")

    def write() -> None:
        with Path("/dev/full").open("wb", buffering=0) as out, sealed(out, parse_recipients([key])) as plain:
            for _ in range(16):
                plain.write(CONTENT)

    with pytest.raises(PreconditionError, match="No space left"):
        write()


def test_an_identity_file_is_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    recipient = make_identity(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert recipient in path.read_text()
    with pytest.raises(AlreadyExistsError, match="exists"):
        make_identity(path)
    path.chmod(0o644)
    with pytest.raises(PreconditionError, match="chmod 600"):
        load_identity(path)


def test_what_is_no_key_is_refused_with_the_form_of_one(tmp_path: Path) -> None:
    (tmp_path / "empty").touch(mode=0o600)
    (tmp_path / "words").touch(mode=0o600)
    (tmp_path / "words").write_text("not a key\n")

    with pytest.raises(NotFoundError, match="keygen"):
        load_identity(tmp_path / "absent")
    with pytest.raises(InvalidInputError, match="AGE-SECRET-KEY-1"):
        load_identity(tmp_path / "empty")
    with pytest.raises(InvalidInputError, match="AGE-SECRET-KEY-1"):
        load_identity(tmp_path / "words")
    with pytest.raises(InvalidInputError, match="age1"):
        parse_recipients(["age1nonsense"])
    with pytest.raises(InvalidInputError, match="0 recipients"):
        parse_recipients([])
