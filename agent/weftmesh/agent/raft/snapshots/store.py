"""Snapshot files on disk: written beside, synced, renamed, verified before use; the newest two are kept."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from weftmesh.agent.raft.log.disk import SystemDisk, make_directory
from weftmesh.agent.raft.ports import SnapshotInfo
from weftmesh.agent.raft.snapshots.transfer import SnapshotTransfer, key_of
from weftmesh.core.errors import DataCorruptionError, InvalidInputError, NotFoundError
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.corruption import corrupted
from weftmesh.runtime.wire.snapshot_file import SnapshotReader, digest_of, encode

SUFFIX = ".snapshot"
PARTIAL_SUFFIX = ".partial"
KEEP = 2
MAX_SNAPSHOT_BYTES = 4 << 30
MAX_CHUNK_BYTES = 8 << 20
_WRITE_BUFFER_BYTES = 1 << 20
_DIGEST_BYTES = 32


class SnapshotStore:
    """`SnapshotStorage` on disk.

    In threads run `write` (one at a time), `rows`, `read_chunk`, and `finish_receive` (with no piece received
    meanwhile); the rest runs on the loop.
    """

    def __init__(self, directory: Path, cluster: str) -> None:
        self._directory = directory
        self._cluster = cluster
        self._disk = SystemDisk()
        self._transfer: SnapshotTransfer | None = None
        self._verified: SnapshotInfo | None = None
        self._publishing = threading.Lock()
        """One written here and one received may be complete at the same time."""
        make_directory(directory, self._disk)
        for leftover in directory.glob(f"*{PARTIAL_SUFFIX}"):
            leftover.unlink()

    def latest(self) -> SnapshotInfo | None:
        """The newest snapshot; read and verified at the first call, known afterwards.

        An older one is never taken instead: whether the log reaches back to it is not known here.

        Raises:
            DataCorruptionError: there are snapshots, and the newest does not verify or is another cluster's.
        """
        paths = self._paths()
        if not paths:
            return None
        known = self._verified
        if known is None or known.path != paths[-1]:
            known = self._verified = self._verify(paths[-1])
        return known

    def write(self, header: raft_pb2.SnapshotHeader, rows: Iterator[bytes]) -> SnapshotInfo:
        """Write one, durable at return. Called in a thread.

        Raises:
            InvalidInputError: a row is too large, the file would be, or the header names another cluster.
            OSError: the disk does not take it; nothing of it is left.
        """
        if header.cluster != self._cluster:
            raise InvalidInputError(f"a snapshot of cluster {header.cluster!r} does not belong into {self._cluster!r}")
        path = self._path(header.last_index, header.last_term)
        partial = path.with_name(f"{path.name}.write{PARTIAL_SUFFIX}")
        try:
            size_bytes, sha256 = _write_file(partial, encode(header, rows))
            return self._publish(partial, SnapshotInfo(header, path, size_bytes, sha256))
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def rows(self, info: SnapshotInfo) -> Iterator[bytes]:
        """The rows behind the header, each verified.

        Raises:
            DataCorruptionError: one does not verify, or the file as a whole, which shows after the last row.
        """
        with info.path.open("rb") as stream:
            reader = SnapshotReader(stream, info.path)
            reader.header()
            yield from reader.rows()

    def holds(self, info: SnapshotInfo) -> bool:
        """Whether the file is still there; two newer ones replace it."""
        return info.path.exists()

    def read_chunk(self, info: SnapshotInfo, offset: int, size: int) -> bytes:
        """A piece of the file, for a peer; shorter at its end.

        Raises:
            NotFoundError: two newer ones have replaced it; begin again with `latest`.
        """
        try:
            fd = os.open(info.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFoundError(f"snapshot {info.path} was replaced by newer ones; send the latest") from None
        try:
            return os.pread(fd, size, offset)
        finally:
            os.close(fd)

    def receive_chunk(self, chunk: raft_pb2.SnapshotChunk) -> int:
        """Put a piece of a peer's snapshot in place; returns the offset that is wanted next.

        Another transfer (index, term, size, sha256) discards the one under way; a piece at another offset than the
        one wanted changes nothing.

        Raises:
            InvalidInputError: sizes or digest are none that this node ever sends.
            OSError: the disk does not take it.
        """
        _check_chunk(chunk)
        transfer = self._transfer
        if transfer is None or transfer.key != key_of(chunk):
            self._discard_transfer()
            transfer = self._transfer = self._begin_transfer(chunk)
        if chunk.offset == transfer.offset and chunk.data:
            transfer.take(chunk.data)
        return transfer.offset

    def finish_receive(self, chunk: raft_pb2.SnapshotChunk) -> SnapshotInfo:
        """Verify the complete file and make it the newest, durable at return.

        Raises:
            DataCorruptionError: size, digest or a row does not fit; the partial file is gone.
            NotFoundError: no such transfer is under way.
        """
        transfer = self._transfer
        if transfer is None or transfer.key != key_of(chunk):
            raise NotFoundError(f"no transfer of snapshot {chunk.index} is under way; begin at offset 0")
        try:
            header = self._accept(transfer, chunk)
            path = self._path(chunk.index, chunk.snapshot_term)
            return self._publish(transfer.path, SnapshotInfo(header, path, chunk.size_bytes, chunk.sha256))
        finally:
            self._discard_transfer()

    def _paths(self) -> list[Path]:
        return sorted(self._directory.glob(f"*{SUFFIX}"))

    def _path(self, index: int, term: int) -> Path:
        return self._directory / f"{index:016x}-{term:016x}{SUFFIX}"

    def _verify(self, path: Path) -> SnapshotInfo:
        size_bytes = path.stat().st_size
        with path.open("rb") as stream:
            sha256 = digest_of(stream, size_bytes)
            stream.seek(0)
            reader = SnapshotReader(stream, path)
            header = reader.header()
            self._check_cluster(header, path)
            if sha256 is None:
                for _ in reader.rows():  # finds the place
                    pass
                raise corrupted(path, 0, "the sha256 does not fit")
        return SnapshotInfo(header, path, size_bytes, sha256)

    def _check_cluster(self, header: raft_pb2.SnapshotHeader, path: Path) -> None:
        if header.cluster != self._cluster:
            raise corrupted(path, 0, f"it belongs to cluster {header.cluster!r}, this node to {self._cluster!r}")

    def _accept(self, transfer: SnapshotTransfer, chunk: raft_pb2.SnapshotChunk) -> raft_pb2.SnapshotHeader:
        refused = f"the snapshot of entry {chunk.index} that a peer sent was removed and has to be sent again: "
        try:
            header = transfer.finish()
            self._check_cluster(header, transfer.path)
        except DataCorruptionError as error:
            raise DataCorruptionError(refused + error.metadata["found"]) from error
        if (header.last_index, header.last_term) != (chunk.index, chunk.snapshot_term):
            raise DataCorruptionError(refused + f"it holds the state at entry {header.last_index}")
        return header

    def _publish(self, partial: Path, info: SnapshotInfo) -> SnapshotInfo:
        with self._publishing:
            self._disk.rename(partial, info.path)
            self._disk.sync_directory(self._directory)
            paths = self._paths()
            if paths[-1] == info.path:
                self._verified = info
            for old in paths[:-KEEP]:
                self._disk.unlink(old)
        return info

    def _begin_transfer(self, chunk: raft_pb2.SnapshotChunk) -> SnapshotTransfer:
        path = self._path(chunk.index, chunk.snapshot_term)
        partial = path.with_name(f"{path.name}.receive{PARTIAL_SUFFIX}")
        return SnapshotTransfer(key_of(chunk), partial, self._disk)

    def _discard_transfer(self) -> None:
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            transfer.discard()


def _write_file(path: Path, pieces: Iterable[bytes]) -> tuple[int, bytes]:
    """Write and sync `pieces`; returns their size and sha256."""
    digest = hashlib.sha256()
    size_bytes = 0
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb", buffering=_WRITE_BUFFER_BYTES) as stream:
        for piece in pieces:
            size_bytes += len(piece)
            if size_bytes > MAX_SNAPSHOT_BYTES:
                raise InvalidInputError(f"{path} would be larger than {MAX_SNAPSHOT_BYTES} bytes")
            digest.update(piece)
            stream.write(piece)
        stream.flush()
        os.fsync(fd)
    return size_bytes, digest.digest()


def _check_chunk(chunk: raft_pb2.SnapshotChunk) -> None:
    if not 0 < chunk.size_bytes <= MAX_SNAPSHOT_BYTES:
        raise InvalidInputError(f"a snapshot of {chunk.size_bytes} bytes is not taken, at most {MAX_SNAPSHOT_BYTES}")
    if len(chunk.sha256) != _DIGEST_BYTES:
        raise InvalidInputError(f"a sha256 of {len(chunk.sha256)} bytes, {_DIGEST_BYTES} make one")
    if len(chunk.data) > MAX_CHUNK_BYTES or chunk.offset + len(chunk.data) > chunk.size_bytes:
        raise InvalidInputError(f"a piece of {len(chunk.data)} bytes at {chunk.offset} of {chunk.size_bytes}")
