"""What the router keeps of its agreements and tables, so that it routes on before it hears of its node again."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog
from google.protobuf.message import DecodeError

from weftmesh.routing.v1 import kept_pb2
from weftmesh.runtime.files import write_atomic

FILE_NAME: Final = "last-table"
_DIGEST_BYTES: Final = 32
_log = structlog.get_logger("weftmesh.router")


class LastTable:
    """One file: a digest, then a KeptState.

    Args:
        directory: of the router's state; it exists.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    def read(self) -> kept_pb2.KeptState | None:
        """What was kept; None where there is nothing. A damaged file is set aside, and logged."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        digest, data = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        try:
            if sha256(data).digest() == digest:
                return kept_pb2.KeptState.FromString(data)
            why = "its digest is another one"
        except DecodeError as error:
            why = str(error)
        aside = self._path.with_suffix(".damaged")
        self._path.replace(aside)
        _log.warning("the kept table is damaged: routes begin anew", why=why, set_aside=str(aside))
        return None

    def write(self, pieces: Iterable[bytes]) -> None:
        """Keep a state in place of what was kept before.

        Args:
            pieces: KeptStates as bytes, each a part of the whole: one behind the other they are one message.

        Raises:
            OSError: the disk refused; what was kept before is still there.
        """
        data = b"".join(pieces)
        write_atomic(self._path, sha256(data).digest() + data)
