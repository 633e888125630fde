"""A snapshot that arrives in pieces: verified on the way, whatever the pieces are, and durable at the end."""

from __future__ import annotations

import hashlib
import random
import time
from pathlib import Path
from zlib import crc32

import pytest
from tests.fakes.disk import FaultyDisk

from weftmesh.agent.raft.snapshots.transfer import SYNC_BYTES, SnapshotTransfer
from weftmesh.core.errors import DataCorruptionError, PreconditionError
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.wire.snapshot_file import FORMAT, SnapshotVerifier, encode

HEADER = raft_pb2.SnapshotHeader(format=1, last_index=20, last_term=3, cluster="lab")


def content_of(rows: int = 30) -> bytes:
    return b"".join(encode(HEADER, (bytes([number]) * (number * 7 % 50) for number in range(rows))))


def verify(content: bytes, piece_bytes: int) -> raft_pb2.SnapshotHeader:
    verifier = SnapshotVerifier(Path("received"))
    for offset in range(0, len(content), piece_bytes):
        verifier.feed(content[offset : offset + piece_bytes])
    header = verifier.finish()
    assert verifier.sha256 == hashlib.sha256(content).digest()
    return header


def begin(path: Path, content: bytes, disk: FaultyDisk) -> SnapshotTransfer:
    return SnapshotTransfer((20, 3, len(content), hashlib.sha256(content).digest()), path / "partial", disk)


def wait_for_calls(disk: FaultyDisk, calls: int) -> None:
    deadline_s = time.monotonic() + 10
    while disk.calls < calls and time.monotonic() < deadline_s:
        time.sleep(0.001)
    assert disk.calls >= calls


@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 64, 1000, 1 << 20])
@pytest.mark.parametrize("rows", [0, 1, 30])
def test_pieces_of_any_size(piece_bytes: int, rows: int) -> None:
    assert verify(content_of(rows), piece_bytes) == HEADER


@pytest.mark.parametrize("piece_bytes", [1, 100, 1 << 20])
def test_damage_anywhere_is_found(piece_bytes: int) -> None:
    content = content_of(5)
    for offset in range(len(content)):
        damaged = content[:offset] + bytes([content[offset] ^ 16]) + content[offset + 1 :]
        with pytest.raises(DataCorruptionError):
            verify(damaged, piece_bytes)


@pytest.mark.parametrize("piece_bytes", [1, 100, 1 << 20])
def test_another_end_is_found(piece_bytes: int) -> None:
    content = content_of(5)
    for length in range(len(content)):
        with pytest.raises(DataCorruptionError):
            verify(content[:length], piece_bytes)
    with pytest.raises(DataCorruptionError, match="behind the end"):
        verify(content + b"\0", piece_bytes)


@pytest.mark.parametrize("seed", range(30))
def test_noise_is_refused(seed: int) -> None:
    rng = random.Random(seed)
    content = content_of(5)[: rng.randrange(100)] + rng.randbytes(300)
    with pytest.raises(DataCorruptionError):
        verify(content, rng.randint(1, 100))


def test_damage_is_told_when_the_transfer_is_complete(tmp_path: Path) -> None:
    content = content_of()
    damaged = content[:60] + b"?" + content[61:]
    transfer = begin(tmp_path, content, FaultyDisk(tmp_path))
    for offset in range(0, len(damaged), 50):
        transfer.take(damaged[offset : offset + 50])
    with pytest.raises(DataCorruptionError, match="damaged at byte"):
        transfer.finish()
    transfer.discard()
    assert not list(tmp_path.iterdir())


def test_a_whole_snapshot_other_than_announced_is_refused(tmp_path: Path) -> None:
    content = content_of()
    transfer = begin(tmp_path, content_of(31), FaultyDisk(tmp_path))
    transfer.take(content)
    with pytest.raises(DataCorruptionError, match="not what was announced"):
        transfer.finish()
    transfer.discard()


def test_a_large_one_is_synced_on_the_way(tmp_path: Path) -> None:
    content = b"".join(encode(HEADER, (bytes(1 << 20) for _ in range(3 * SYNC_BYTES >> 20))))
    disk = FaultyDisk(tmp_path)
    transfer = begin(tmp_path, content, disk)
    transfer.take(content[:SYNC_BYTES])
    assert disk.sync_entered.wait(10)
    disk.sync_entered.clear()
    transfer.take(content[SYNC_BYTES : 2 * SYNC_BYTES])
    while not disk.sync_entered.wait(0.01):  # until the one before has ended there is no other
        assert transfer.offset < len(content)
        transfer.take(content[transfer.offset : transfer.offset + (1 << 12)])
    transfer.take(content[transfer.offset :])
    assert transfer.finish() == HEADER
    transfer.discard()


def test_a_failed_sync_on_the_way_fails_the_whole(tmp_path: Path) -> None:
    content = b"".join(encode(HEADER, (bytes(1 << 20) for _ in range((SYNC_BYTES >> 20) + 1))))
    disk = FaultyDisk(tmp_path, fail_at=2)
    transfer = begin(tmp_path, content, disk)
    transfer.take(content[:SYNC_BYTES])
    wait_for_calls(disk, 2)
    disk.fail_at = None  # the kernel tells it once
    transfer.take(content[SYNC_BYTES:])
    with pytest.raises(OSError, match="error"):
        transfer.finish()
    transfer.discard()


def test_a_later_format_is_told_from_damage(tmp_path: Path) -> None:
    content = bytearray(content_of())
    opening = content[:8] + (FORMAT + 1).to_bytes(4, "little")
    content[:16] = opening + crc32(opening).to_bytes(4, "little")
    transfer = begin(tmp_path, bytes(content), FaultyDisk(tmp_path))
    transfer.take(bytes(content))
    with pytest.raises(PreconditionError, match="install the version of weftmesh that wrote it"):
        transfer.finish()
    transfer.discard()
