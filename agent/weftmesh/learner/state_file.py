"""A small JSON document on disk that is whole, or refused: replaced atomically and durably, with a checksum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from weftmesh.core.errors import DataCorruptionError
from weftmesh.runtime.files import write_atomic

_MAGIC: Final = b"weftmesh-learner 1 "
SIZE_BYTES_MAX: Final = 16 * 1024 * 1024
"""A file beyond this was not written by `write_document`."""


def write_document(path: Path, document: Mapping[str, object]) -> None:
    """Replace what `path` holds; once this returns, it survives a crash.

    Args:
        path: in a directory that is there.
        document: of what JSON knows.

    Raises:
        OSError: the disk refused; the old file is untouched.
    """
    body = json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
    write_atomic(path, _MAGIC + sha256(body).hexdigest().encode() + b"\n" + body + b"\n")


def read_document(path: Path, what_to_do: str) -> dict[str, Any] | None:
    """What `write_document` wrote; None when there is no such file.

    Args:
        path: of the file.
        what_to_do: when it is damaged; the end of the message.

    Raises:
        DataCorruptionError: it is not what was written.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(SIZE_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    header, _, body = content.partition(b"\n")
    body = body.removesuffix(b"\n")
    if header != _MAGIC + sha256(body).hexdigest().encode():
        raise damaged(path, "its checksum does not match", what_to_do)
    try:
        document = json.loads(body)
    except ValueError as error:  # of another release, whose checksum holds
        raise damaged(path, f"it is no JSON ({error})", what_to_do) from error
    if not isinstance(document, dict):
        raise damaged(path, "it holds something else", what_to_do)
    return document


def damaged(path: Path, found: str, what_to_do: str) -> DataCorruptionError:
    """The error for a file that is not what was written; the caller raises it."""
    return DataCorruptionError(
        f"{path} is damaged: {found}; this node trains nothing until that is settled: {what_to_do}",
        metadata={"file": str(path), "found": found},
    )
