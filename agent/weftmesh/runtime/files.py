"""Files that are whole or absent after a crash, and private files that stay private."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from weftmesh.core.errors import PreconditionError

PRIVATE_FILE_MODE: Final = 0o600
PRIVATE_DIRECTORY_MODE: Final = 0o700
_OTHERS: Final = 0o077
_PRIVATE_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW


def write_atomic(path: Path, content: bytes, *, mode: int = PRIVATE_FILE_MODE) -> None:
    """Replace `path` by `content`, durably: a crash leaves the old file or the new one, never a part.

    Root leaves the file to the owner of its directory: what an administrator's command writes, the daemon must read.

    Raises:
        OSError: the disk refused; the old file is untouched.
    """
    with replacing(path, mode=mode) as stream:
        stream.write(content)


@contextmanager
def replacing(path: Path, *, mode: int = PRIVATE_FILE_MODE, suffix: str = ".tmp") -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place when the block ends, durably, as in `write_atomic`.

    After an error in the block nothing of it is left. Its `name` is its path until then.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{suffix}")
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags | _PRIVATE_FLAGS, mode)) as stream:
            os.fchmod(stream.fileno(), mode)  # the umask had its say when the file was made
            _give_to_owner_of(path.parent, stream.fileno())
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a directory's entries durable: a rename is on disk only after this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_directory(path: Path) -> None:
    """Make `path` and its missing parents; each one made is closed to others and belongs to its parent's owner."""
    missing: list[Path] = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(mode=PRIVATE_DIRECTORY_MODE, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _give_to_owner_of(directory.parent, descriptor)
        finally:
            os.close(descriptor)
        sync_directory(directory.parent)


def read_private(path: Path) -> bytes:
    """Read a secret, unless others could read it too.

    Raises:
        PreconditionError: its mode lets others in; the message has the command that mends it.
        FileNotFoundError: it is not there.
    """
    with path.open("rb") as stream:
        mode = os.fstat(stream.fileno()).st_mode & 0o777
        if mode & _OTHERS:
            raise PreconditionError(
                f"{path} may be read by others (mode {mode:04o}); run: chmod 600 {path}"
                " and consider the key in it known to them",
                reason="PRIVATE_FILE_EXPOSED",
                metadata={"path": str(path)},
            )
        return stream.read()


def _give_to_owner_of(directory: Path, descriptor: int) -> None:
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
