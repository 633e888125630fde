"""A snapshot that a peer is sending: verified and synced piece by piece, so that its end takes no longer."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from weftmesh.agent.raft.log.disk import Disk
from weftmesh.core.errors import DataCorruptionError, PreconditionError
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.wire.snapshot_file import SnapshotVerifier

SYNC_BYTES = 4 << 20
"""Synced in a thread whenever so much has come, so that little is left to sync at the end."""

Key = tuple[int, int, int, bytes]


def key_of(chunk: raft_pb2.SnapshotChunk) -> Key:
    """What tells one transfer from another."""
    return chunk.index, chunk.snapshot_term, chunk.size_bytes, chunk.sha256


class SnapshotTransfer:
    """A partial file. To be discarded, whether it was finished or not; all methods are called on the loop."""

    def __init__(self, key: Key, path: Path, disk: Disk) -> None:
        self.key = key
        self.path = path
        self.offset = 0
        """What is wanted next."""
        self._disk = disk
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._verifier = SnapshotVerifier(path)
        self._refusal: DataCorruptionError | PreconditionError | None = None
        self._syncer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshot")
        self._sync: Future[None] | None = None
        self._synced_bytes = 0

    def take(self, data: bytes) -> None:
        """Add what belongs at `offset`.

        Raises:
            OSError: the disk does not take it.
        """
        self._disk.write(self._fd, data, self.offset)
        self.offset += len(data)
        if self._refusal is None:
            try:
                self._verifier.feed(data)
            except (DataCorruptionError, PreconditionError) as error:
                self._refusal = error  # told when it is complete: whoever sends it has no earlier answer to that
        if self.offset - self._synced_bytes >= SYNC_BYTES and (self._sync is None or self._sync.done()):
            self._check_sync()
            self._synced_bytes = self.offset
            with suppress(RuntimeError):  # no thread can be started: `finish` has more to sync then
                self._sync = self._syncer.submit(self._disk.sync_data, self._fd)

    def finish(self) -> raft_pb2.SnapshotHeader:
        """Make the complete file durable and return its header.

        Raises:
            DataCorruptionError: size, digest or a row does not fit.
            PreconditionError: it is of a later format.
            OSError: it is not durable.
        """
        if self._refusal is not None:
            raise self._refusal
        _, _, size_bytes, sha256 = self.key
        header = self._verifier.finish()
        if self.offset != size_bytes or self._verifier.sha256 != sha256:
            raise DataCorruptionError(
                "size or sha256 is not what was announced", metadata={"found": "size or sha256 is not as announced"}
            )
        self._check_sync()
        self._disk.sync_data(self._fd)
        return header

    def discard(self) -> None:
        """Close the file, and remove it if it still has its name."""
        self._syncer.shutdown(wait=True)
        os.close(self._fd)
        self.path.unlink(missing_ok=True)

    def _check_sync(self) -> None:
        """The kernel reports a lost page to one sync only."""
        if self._sync is not None:
            self._sync.result()
