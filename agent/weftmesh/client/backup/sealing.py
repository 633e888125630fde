"""Encryption of backups: age files (age-encryption.org/v1) for X25519 keys, as the `age` tool reads and writes them.

Everything is streamed: age authenticates chunks of 64 KiB, and a pipe is all that is held between the two sides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyrage

from weftmesh.core.errors import (
    AlreadyExistsError,
    DataCorruptionError,
    InvalidInputError,
    NotFoundError,
    PreconditionError,
)
from weftmesh.runtime.files import read_private, write_atomic

RECIPIENTS_MAX: Final = 16
_MAGIC: Final = b"age-encryption.org/v1\n"
_COMMENT: Final = "#"
_NO_KEY: Final = "No matching keys found"
Identity = Any
"""A private key; pyrage carries no types."""
Recipient = Any


def make_identity(path: Path) -> str:
    """Write a new private key to `path`, readable by its owner alone; returns the recipient that belongs to it.

    Raises:
        AlreadyExistsError: the file is there: whatever was encrypted to its key would be lost with it.
    """
    if path.exists():
        raise AlreadyExistsError(f"{path} exists; a key that may be in use is not replaced. Name another file")
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    write_atomic(path, f"# recipient: {recipient}\n{identity}\n".encode())
    return recipient


def parse_recipients(keys: Sequence[str]) -> list[Recipient]:
    """The recipients for `age1...` keys.

    Raises:
        InvalidInputError: there is none, one is not such a key, or there are too many.
    """
    if not 1 <= len(keys) <= RECIPIENTS_MAX:
        raise InvalidInputError(f"{len(keys)} recipients; a backup is encrypted to 1 to {RECIPIENTS_MAX} of them")
    return [_parsed(pyrage.x25519.Recipient.from_str, key, "a recipient begins with age1") for key in keys]


def load_identity(path: Path) -> Identity:
    """The private key in a file of `make_identity` or `age-keygen`.

    Raises:
        NotFoundError: there is no such file.
        PreconditionError: others may read it.
        InvalidInputError: it holds no key, or several.
    """
    try:
        text = read_private(path).decode(errors="replace")
    except FileNotFoundError:
        raise NotFoundError(f"there is no identity file {path}; `weftmesh backup keygen --to FILE` makes one") from None
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith(_COMMENT)]
    if len(keys) != 1:
        raise InvalidInputError(f"{path} holds {len(keys)} keys; an identity file has one line AGE-SECRET-KEY-1...")
    return _parsed(pyrage.x25519.Identity.from_str, keys[0], f"see {path}: a key begins with AGE-SECRET-KEY-1")


def _parsed(parse: Callable[[str], Any], key: str, hint: str) -> Any:
    try:
        return parse(key)
    except (pyrage.RecipientError, pyrage.IdentityError) as error:
        raise InvalidInputError(f"not a key ({error}); {hint}") from error


@contextmanager
def sealed(out: BinaryIO, recipients: Sequence[Recipient]) -> Iterator[BinaryIO]:
    """What is written to the yielded stream arrives in `out` encrypted; complete when the block has ended.

    Raises:
        PreconditionError: `out` does not take it.
    """
    reading, writing = _pipe()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="age") as thread:
        work = thread.submit(_closing, reading, lambda: pyrage.encrypt_io(reading, out, list(recipients)))
        try:
            with writing:
                yield writing
        except BrokenPipeError:
            _check_written(work)  # says why nobody reads any more
            raise
        _check_written(work)


def _check_written(work: Future[None]) -> None:
    try:
        work.result()
    except (pyrage.EncryptError, OSError) as error:
        raise PreconditionError(
            f"the disk does not take the backup ({error}); make room, or put it somewhere else"
        ) from error


@contextmanager
def unsealed(path: Path, identity: Identity) -> Iterator[BinaryIO]:
    """The content of a backup file, decrypted while it is read.

    What is read is as it was written up to there; that the file is whole is known only when the block has ended after
    reading it to its end.

    Raises:
        InvalidInputError: it is not encrypted to this identity, or no age file at all.
        DataCorruptionError: it was changed or cut short.
        NotFoundError: there is no such file.
    """
    _check_magic(path)
    reading, writing = _pipe()
    with path.open("rb") as source, ThreadPoolExecutor(max_workers=1, thread_name_prefix="age") as thread:
        work = thread.submit(_closing, writing, lambda: pyrage.decrypt_io(source, writing, [identity]))
        failed = None
        try:
            with reading:
                yield reading
                left_over = reading.read(1) != b""
        except Exception as error:  # noqa: BLE001, raised below unless what the decryption says explains it
            failed, left_over = error, True
        problem = work.exception()
        if problem is not None and not _nobody_read_on(problem, left_over=left_over):
            raise _refusal(path, problem) from problem
        if failed is not None:
            raise failed


def _nobody_read_on(problem: BaseException, *, left_over: bool) -> bool:
    return left_over and isinstance(problem, OSError) and "Broken pipe" in str(problem)


def _refusal(path: Path, problem: BaseException) -> Exception:
    if _NO_KEY in str(problem):
        return InvalidInputError(
            f"{path} is not encrypted to this identity; use the one that belongs to a recipient it was made for",
            reason="WRONG_IDENTITY",
        )
    return DataCorruptionError(
        f"{path} was changed or cut short after it was written ({problem}); nothing of it was used. Use another copy, "
        "or an earlier backup",
        reason="BACKUP_DAMAGED",
    )


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as source:
            beginning = source.read(len(_MAGIC))
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    if beginning != _MAGIC:
        raise InvalidInputError(f"{path} is no backup: backups are age files and this one is not", reason="NO_BACKUP")


def _pipe() -> tuple[BinaryIO, BinaryIO]:
    reading, writing = os.pipe()
    return open(reading, "rb"), open(writing, "wb")


def _closing(stream: BinaryIO, work: Callable[[], None]) -> None:
    """Do `work` and close its end of the pipe, whatever comes of it, or the other end would wait for ever."""
    with stream:
        work()
