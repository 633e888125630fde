"""The files of a router's decision log, for whoever reads them; the router may write meanwhile.

A file is a run of records in frames (`runtime.frames`); each is a `weftmesh.routing.v1.Decision`, deflated. Names sort
as the decisions came.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.routing.model import Decision
from weftmesh.routing.v1 import decision_pb2
from weftmesh.runtime.frames import read_frames
from weftmesh.runtime.wire.decisions import decision_message, decision_of

DIRECTORY: Final = "decisions"
"""Within the router's state."""
SUFFIX: Final = ".decisions"
_NUMBER_DIGITS: Final = 10
RECORD_BYTES_MAX: Final = 64 * 1024 * 1024
"""Inflated: ten times a decision about as many endpoints as a route may have."""
_LEVEL: Final = 1


def log_files(directory: Path) -> list[tuple[int, Path]]:
    """The numbers and files of a log, the oldest first.

    Raises:
        OSError: the directory cannot be read; FileNotFoundError where no router ever wrote.
    """
    found = [path for path in directory.iterdir() if path.name.endswith(SUFFIX)]
    return sorted((int(path.stem), path) for path in found if path.stem.isdecimal())


def log_file(directory: Path, number: int) -> Path:
    """The file of a number."""
    return directory / f"{number:0{_NUMBER_DIGITS}}{SUFFIX}"


def packed(decision: Decision) -> bytes:
    """A decision as a record's payload."""
    return zlib.compress(decision_message(decision).SerializeToString(deterministic=True), _LEVEL)


def unpacked(payload: bytes) -> Decision:
    """The decision in a record's payload.

    Raises:
        InvalidInputError: it is none, or says what this version does not know.
    """
    inflating = zlib.decompressobj()
    try:
        message = inflating.decompress(payload, RECORD_BYTES_MAX)
        if not inflating.eof:
            raise InvalidInputError(f"a decision of more than {RECORD_BYTES_MAX} bytes, or a part of one")
        return decision_of(decision_pb2.Decision.FromString(message))
    except (zlib.error, DecodeError) as error:
        raise InvalidInputError(f"a record that is no decision: {error}") from error


class DecisionReader:
    """Reads a log once, from its beginning to where it ends now.

    Args:
        directory: of the log.

    Attributes:
        unreadable: records so far that are damaged, or of a later version. One that is being written is none.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.unreadable = 0

    def decisions(self) -> Iterator[Decision]:
        """The decisions of all routes, in the order in which they were taken.

        Raises:
            OSError: a file cannot be read; FileNotFoundError where no router ever wrote.
        """
        for _, path in log_files(self._directory):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue  # the router made room meanwhile
            contents = read_frames(data)
            self.unreadable += len(contents.damaged)
            for payload in contents.payloads:
                try:
                    yield unpacked(payload)
                except InvalidInputError:
                    self.unreadable += 1
