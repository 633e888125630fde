"""Counts as JSON documents with a checksum: what is still counted, and windows that wait for the node."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from weftmesh.core.errors import DataCorruptionError
from weftmesh.core.ola.replicated.rows import ConfirmedAgreement, ObjectiveCount
from weftmesh.router.counting.counts import CountedWindow, OpenCounts, Tally
from weftmesh.router.counting.rules import Meaning
from weftmesh.runtime.files import write_atomic

_MAGIC: Final = b"weftmesh-router-counts 1 "
SIZE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A file beyond this was not written here."""


def write_open_counts(path: Path, counts: OpenCounts) -> None:
    """Replace what `path` holds, durably.

    Raises:
        OSError: the disk refused; the old file is untouched.
    """
    meanings = {one.meaning: None for one in counts.tallies}
    numbers = {meaning: number for number, meaning in enumerate(meanings)}
    _write(
        path,
        {
            "closed_s": list(counts.closed_s),
            "meanings": [[one.agreement, one.objective, one.events, one.part_ms, one.at_least] for one in meanings],
            "tallies": [
                [one.starts_ms, numbers[one.meaning], one.good, one.total, int(one.is_part)] for one in counts.tallies
            ],
        },
    )


def read_open_counts(path: Path) -> OpenCounts:
    """What `write_open_counts` wrote; nothing where there is no file.

    Raises:
        DataCorruptionError: it is not what was written.
        OSError: it cannot be read.
    """
    try:
        found = _read(path)
    except FileNotFoundError:
        return OpenCounts()
    try:
        meanings = [Meaning(str(a), str(o), str(e), int(p), int(n)) for a, o, e, p, n in found["meanings"]]
        tallies = [
            Tally(int(at), meanings[int(of)], int(good), int(total), bool(is_part))
            for at, of, good, total, is_part in found["tallies"]
        ]
        return OpenCounts(tuple(int(one) for one in found["closed_s"]), tuple(tallies))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _damaged(path, f"it has another form ({error!r})") from error


def write_window(path: Path, window: CountedWindow) -> None:
    """As `write_open_counts`, for a window that is over."""
    _write(
        path,
        {
            "starts_s": window.starts_s,
            "agreements": [[one.name, one.generation, one.workflow.hex()] for one in window.agreements],
            "counts": [[one.name, one.objective, one.good, one.total] for one in window.counts],
        },
    )


def read_window(path: Path) -> CountedWindow:
    """What `write_window` wrote.

    Raises:
        DataCorruptionError: it is not what was written.
        OSError: it cannot be read.
    """
    found = _read(path)
    try:
        agreements = [
            ConfirmedAgreement(str(name), int(number), bytes.fromhex(workflow))
            for name, number, workflow in found["agreements"]
        ]
        counts = [
            ObjectiveCount(str(name), str(key), int(good), int(total)) for name, key, good, total in found["counts"]
        ]
        return CountedWindow(int(found["starts_s"]), tuple(agreements), tuple(counts))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"it has another form ({error!r})") from error


def _write(path: Path, document: dict[str, Any]) -> None:
    body = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    write_atomic(path, _MAGIC + sha256(body).hexdigest().encode() + b"\n" + body + b"\n")


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        content = stream.read(SIZE_BYTES_MAX + 1)
    header, _, body = content.partition(b"\n")
    body = body.removesuffix(b"\n")
    if header != _MAGIC + sha256(body).hexdigest().encode():
        raise _damaged(path, "its checksum does not match")
    try:
        document = json.loads(body)
    except ValueError as error:
        raise _damaged(path, f"it is no JSON ({error})") from error
    if not isinstance(document, dict):
        raise _damaged(path, "it holds something else")
    return document


def _damaged(path: Path, found: str) -> DataCorruptionError:
    return DataCorruptionError(f"{path} is damaged: {found}", metadata={"file": str(path), "found": found})
