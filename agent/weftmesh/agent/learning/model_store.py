"""Models on this node's disk: one file each, named by its SHA-256, whole or absent."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Set
from pathlib import Path
from typing import Final

import structlog

from weftmesh.agent.learning.model_parts import Model
from weftmesh.core.errors import OverloadedError, PreconditionError
from weftmesh.runtime.files import make_private_directory, write_atomic

UNNAMED_KEPT_S: Final = 3600.0
"""A model that no version names may be one that is about to be named; after so long it is not."""
FILES_MAX: Final = 4_096
"""Models on one node; the replicated state names at most 49 of each of at most 64 jobs, most of them old and gone."""
DISK_BYTES_MAX: Final = 2 * 1024**3
"""Of them together: what other members send must not fill the disk that the board is on."""

log = structlog.get_logger("weftmesh.learning")


class ModelStore:
    """The directory of models. Its methods do their work in a thread, one at a time."""

    def __init__(self, directory: Path, now_s: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now_s = now_s
        self._turn = asyncio.Lock()

    async def put(self, model: Model) -> None:
        """Return once the model is on disk, durably.

        Raises:
            OverloadedError: there are too many models.
            PreconditionError: the disk does not take it.
        """
        async with self._turn:
            try:
                await asyncio.to_thread(self._put, model)
            except OSError as error:
                raise PreconditionError(
                    f"{self._directory} does not take the model ({error}); free space or mend the disk",
                    reason="MODEL_NOT_STORED",
                ) from error

    async def get(self, sha256: bytes) -> Model | None:
        """The model, or None when it is not here; one that is damaged is removed, and counts as not here."""
        async with self._turn:
            return await asyncio.to_thread(self._get, sha256)

    async def sweep(self, named: Set[bytes]) -> int:
        """Remove models that are not `named` and are not new, and what a crash left of others; how many there were."""
        async with self._turn:
            return await asyncio.to_thread(self._sweep, named)

    def _put(self, model: Model) -> None:
        make_private_directory(self._directory)
        path = self._path(model.sha256)
        if self._get(model.sha256) is not None:
            path.touch()  # whoever puts it again is about to name it
            return
        sizes_bytes = [one.stat().st_size for one in self._directory.iterdir()]
        if len(sizes_bytes) >= FILES_MAX or sum(sizes_bytes) + len(model.data) > DISK_BYTES_MAX:
            raise OverloadedError(
                f"{len(sizes_bytes)} models of {sum(sizes_bytes)} bytes are in {self._directory}, at most {FILES_MAX} "
                f"of {DISK_BYTES_MAX} are kept; those that no version names go an hour after they came"
            )
        write_atomic(path, model.data)

    def _get(self, sha256: bytes) -> Model | None:
        path = self._path(sha256)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            log.exception("a model cannot be read; another node has to help", path=str(path))
            return None
        if hashlib.sha256(data).digest() == sha256:
            return Model(sha256, data)
        log.error("a model is damaged and removed; another node has to help", path=str(path))
        path.unlink(missing_ok=True)
        return None

    def _sweep(self, named: Set[bytes]) -> int:
        if not self._directory.exists():
            return 0
        kept = {sha256.hex() for sha256 in named}
        oldest_s = self._now_s() - UNNAMED_KEPT_S
        removed = 0
        for path in self._directory.iterdir():
            if path.name not in kept and path.stat().st_mtime < oldest_s:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _path(self, sha256: bytes) -> Path:
        return self._directory / sha256.hex()
