"""A read-only copy of an old tracker on the board: its export is imported again whenever the file has changed."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from weftmesh.client.exchange.gateway import BoardGateway
from weftmesh.client.exchange.importer import ImportOptions, ImportReport, OnToken, import_table
from weftmesh.client.exchange.sources import ImportSource
from weftmesh.client.exchange.tables import Table
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.exchange.planned import ImportRules
from weftmesh.core.exchange.values import iso_utc
from weftmesh.runtime.clock import wall_ms

SETTLE_S: Final = 2.0
"""A file that was written less than this long ago may still be: it is looked at again."""
SETTLE_LOOKS_MAX: Final = 5
_MS: Final = 1_000
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class MirrorOptions:
    """How a mirror behaves.

    Attributes:
        dry_run: compare and report, write nothing.
        skip_bad: write the good rows though others are bad.
        force: overwrite what was edited on the board, and let any number of tasks vanish.
        settle_s: see SETTLE_S.
    """

    dry_run: bool = False
    skip_bad: bool = False
    force: bool = False
    settle_s: float = SETTLE_S


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a file looked like: when, how much and which, without reading it."""

    mtime_ns: int
    size_bytes: int
    inode: int


class Mirror:
    """One file and what was last taken from it. A new object takes the file whatever it holds."""

    def __init__(self, path: Path, source: ImportSource, options: MirrorOptions) -> None:
        self._path = path
        self._source = source
        self._options = options
        self._seen: _Seen | None = None
        self._sha256 = b""

    async def look(self, gateway: BoardGateway, on_token: OnToken | None = None) -> ImportReport | None:
        """Bring the board up to the file; None when the file is as it was taken last.

        A file that changes while it is read, or that ends in the middle of an entry, is not taken.

        Raises:
            InvalidInputError: the file cannot be read as a whole, or does not settle.
            WeftmeshError: the board cannot be reached; the next look goes on.
        """
        if self._seen is not None and await asyncio.to_thread(_look_at, self._path) == self._seen:
            return None
        seen = await self._settled()
        sha256, table = await asyncio.to_thread(self._read)
        if await asyncio.to_thread(_look_at, self._path) != seen:
            raise InvalidInputError(f"{self._path}: changed while it was read; the next look takes it")
        if sha256 == self._sha256:
            self._seen = seen
            return None
        options = self._options
        now = iso_utc(datetime.fromtimestamp(wall_ms() // _MS, UTC))
        rules = ImportRules(prefer_file=options.force, overwrite=options.force, mirror=not table.bad_rows, now=now)
        chosen = ImportOptions(dry_run=options.dry_run, skip_bad=options.skip_bad, rules=rules)
        report = await import_table(
            gateway, table, self._source.name, str(self._path), chosen, on_progress=None, on_token=on_token
        )
        if report.written:
            self._seen, self._sha256 = seen, sha256
        return report

    async def _settled(self) -> _Seen:
        """The file's looks, once nobody has written to it for a while."""
        for _ in range(SETTLE_LOOKS_MAX):
            seen = await asyncio.to_thread(_look_at, self._path)
            age_s = wall_ms() / _MS - seen.mtime_ns / _NS_PER_S
            if age_s >= self._options.settle_s:
                return seen
            await asyncio.sleep(self._options.settle_s)
            if await asyncio.to_thread(_look_at, self._path) == seen:
                return seen
        raise InvalidInputError(f"{self._path}: is still being written; the next look takes it")

    def _read(self) -> tuple[bytes, Table]:
        try:
            with self._path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            raise _unreadable(self._path, error) from error
        return sha256, self._source.read(self._path)


def _look_at(path: Path) -> _Seen:
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return _Seen(stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _unreadable(path: Path, error: OSError) -> InvalidInputError:
    return InvalidInputError(f"{path}: cannot be read ({error.strerror or error})")
