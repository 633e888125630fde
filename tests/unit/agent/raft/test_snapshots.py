"""Snapshot files: whole or refused, the newest two kept, received piece by piece."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fakes.storage import FakeSnapshotStorage

from weftmesh.agent.raft.ports import SnapshotInfo, SnapshotStorage
from weftmesh.agent.raft.snapshots.store import MAX_SNAPSHOT_BYTES, SnapshotStore
from weftmesh.core.errors import DataCorruptionError, InvalidInputError, NotFoundError
from weftmesh.mesh.v1 import raft_pb2
from weftmesh.runtime.wire.snapshot_file import MAX_ROW_BYTES

CLUSTER = "lab"
CHUNK_BYTES = 1000


def header(index: int, term: int = 3, cluster: str = CLUSTER) -> raft_pb2.SnapshotHeader:
    voters = [raft_pb2.Voter(name="n1", address="127.0.0.1:7000")]
    membership = raft_pb2.Membership(voters=voters)
    return raft_pb2.SnapshotHeader(format=1, last_index=index, last_term=term, membership=membership, cluster=cluster)


def some_rows(count: int = 40) -> Iterator[bytes]:
    return (b"row %d " % number + bytes(number * 10) for number in range(count))


def chunks(source: SnapshotStorage, info: SnapshotInfo) -> Iterator[raft_pb2.SnapshotChunk]:
    for offset in range(0, info.size_bytes, CHUNK_BYTES):
        yield raft_pb2.SnapshotChunk(
            index=info.header.last_index,
            snapshot_term=info.header.last_term,
            offset=offset,
            size_bytes=info.size_bytes,
            data=source.read_chunk(info, offset, CHUNK_BYTES),
            sha256=info.sha256,
        )


def send(source: SnapshotStorage, info: SnapshotInfo, target: SnapshotStorage) -> raft_pb2.SnapshotChunk:
    last = raft_pb2.SnapshotChunk()
    for last in chunks(source, info):
        assert target.receive_chunk(last) == last.offset + len(last.data)
    return last


def on_disk(tmp_path: Path, name: str = "here") -> SnapshotStorage:
    return SnapshotStore(tmp_path / name, CLUSTER)


def in_memory(_tmp_path: Path, name: str = "here") -> SnapshotStorage:
    return FakeSnapshotStorage()


both = pytest.mark.parametrize("make", [on_disk, in_memory])
Make = Callable[..., SnapshotStorage]


@both
def test_nothing_there(tmp_path: Path, make: Make) -> None:
    assert make(tmp_path).latest() is None


@both
def test_what_was_written_is_read(tmp_path: Path, make: Make) -> None:
    store = make(tmp_path)
    written = store.write(header(20), some_rows())
    assert store.latest() == written
    assert written.header == header(20)
    assert list(store.rows(written)) == list(some_rows())
    content = store.read_chunk(written, 0, written.size_bytes + 1)
    assert (len(content), hashlib.sha256(content).digest()) == (written.size_bytes, written.sha256)


@both
def test_no_rows(tmp_path: Path, make: Make) -> None:
    store = make(tmp_path)
    assert list(store.rows(store.write(header(20), iter(())))) == []


@both
def test_newest_two_are_kept(tmp_path: Path, make: Make) -> None:
    store = make(tmp_path)
    infos = [store.write(header(index), some_rows(3)) for index in (9, 10, 256)]
    assert store.latest() == infos[2]
    assert list(store.rows(infos[1])) == list(some_rows(3))
    with pytest.raises(NotFoundError):
        store.read_chunk(infos[0], 0, 10)


@both
def test_transfer(tmp_path: Path, make: Make) -> None:
    source, target = make(tmp_path, "source"), make(tmp_path, "target")
    info = source.write(header(20), some_rows())
    received = target.finish_receive(send(source, info, target))
    assert target.latest() == received
    assert (received.header, received.size_bytes, received.sha256) == (info.header, info.size_bytes, info.sha256)
    assert list(target.rows(received)) == list(some_rows())


@both
def test_pieces_out_of_order_change_nothing(tmp_path: Path, make: Make) -> None:
    source, target = make(tmp_path, "source"), make(tmp_path, "target")
    first, second, third, *_ = chunks(source, source.write(header(20), some_rows()))
    assert target.receive_chunk(second) == 0
    assert target.receive_chunk(first) == CHUNK_BYTES
    assert target.receive_chunk(third) == CHUNK_BYTES
    assert target.receive_chunk(first) == CHUNK_BYTES
    assert target.receive_chunk(second) == 2 * CHUNK_BYTES


@both
def test_another_transfer_discards_the_one_under_way(tmp_path: Path, make: Make) -> None:
    source, target = make(tmp_path, "source"), make(tmp_path, "target")
    older, newer = (source.write(header(index), some_rows()) for index in (20, 30))
    target.receive_chunk(next(chunks(source, older)))
    last = send(source, newer, target)
    with pytest.raises(NotFoundError):
        target.finish_receive(next(chunks(source, older)))
    if make is on_disk:
        assert target.finish_receive(last).header.last_index == 30


@both
def test_incomplete_or_altered_transfer_is_refused_and_gone(tmp_path: Path, make: Make) -> None:
    source, target = make(tmp_path, "source"), make(tmp_path, "target")
    info = source.write(header(20), some_rows())
    first, *_ = chunks(source, info)
    target.receive_chunk(first)
    with pytest.raises(DataCorruptionError):
        target.finish_receive(first)
    for chunk in chunks(source, info):
        chunk.data = chunk.data[:-1] + b"?"
        target.receive_chunk(chunk)
    with pytest.raises(DataCorruptionError):
        target.finish_receive(first)
    assert target.latest() is None
    assert target.receive_chunk(first) == CHUNK_BYTES  # from the beginning


def test_partial_files_are_removed_at_start(tmp_path: Path) -> None:
    source = SnapshotStore(tmp_path / "source", CLUSTER)
    info = source.write(header(20), some_rows())
    target = SnapshotStore(tmp_path / "target", CLUSTER)
    target.receive_chunk(next(chunks(source, info)))
    assert list((tmp_path / "target").iterdir())
    assert SnapshotStore(tmp_path / "target", CLUSTER).latest() is None
    assert not list((tmp_path / "target").iterdir())


def test_damage_anywhere_is_refused_and_no_older_one_taken(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, CLUSTER)
    store.write(header(10), some_rows(3))
    info = store.write(header(20), some_rows(3))
    content = info.path.read_bytes()
    for offset in range(len(content)):
        info.path.write_bytes(content[:offset] + bytes([content[offset] ^ 4]) + content[offset + 1 :])
        with pytest.raises(DataCorruptionError) as caught:
            SnapshotStore(tmp_path, CLUSTER).latest()
        assert "join` again" in str(caught.value)
    info.path.write_bytes(content)
    assert SnapshotStore(tmp_path, CLUSTER).latest() == info


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content + b"\0", lambda _: b""])
def test_other_sizes_are_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    info = SnapshotStore(tmp_path, CLUSTER).write(header(20), some_rows(3))
    info.path.write_bytes(change(info.path.read_bytes()))
    with pytest.raises(DataCorruptionError):
        SnapshotStore(tmp_path, CLUSTER).latest()


def test_rows_verify_what_changed_since(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, CLUSTER)
    info = store.write(header(20), some_rows())
    content = bytearray(info.path.read_bytes())
    content[len(content) // 2] ^= 1
    info.path.write_bytes(content)
    with pytest.raises(DataCorruptionError):
        list(store.rows(info))


def test_another_cluster_is_refused(tmp_path: Path) -> None:
    other = SnapshotStore(tmp_path, "other")
    info = other.write(header(20, cluster="other"), some_rows(2))
    with pytest.raises(DataCorruptionError, match="belongs to cluster 'other'"):
        SnapshotStore(tmp_path, CLUSTER).latest()
    with pytest.raises(InvalidInputError):
        other.write(header(21), some_rows(2))
    target = SnapshotStore(tmp_path / "target", CLUSTER)
    with pytest.raises(DataCorruptionError, match="belongs to cluster 'other'"):
        target.finish_receive(send(other, info, target))
    assert not list((tmp_path / "target").iterdir())


def test_snapshot_of_another_index_than_announced_is_refused(tmp_path: Path) -> None:
    source = SnapshotStore(tmp_path / "source", CLUSTER)
    target = SnapshotStore(tmp_path / "target", CLUSTER)
    for chunk in chunks(source, source.write(header(20), some_rows())):
        chunk.index = 99
        target.receive_chunk(chunk)
    with pytest.raises(DataCorruptionError, match=r"sent again.*entry 20"):
        target.finish_receive(chunk)


@pytest.mark.parametrize(
    "change",
    [
        {"size_bytes": MAX_SNAPSHOT_BYTES + 1},
        {"size_bytes": 0},
        {"sha256": b"short"},
        {"offset": 5},
    ],
)
def test_pieces_that_no_peer_sends_are_refused(tmp_path: Path, change: dict[str, int | bytes]) -> None:
    chunk = raft_pb2.SnapshotChunk(index=1, snapshot_term=1, size_bytes=10, data=b"0123456789", sha256=bytes(32))
    for name, value in change.items():
        setattr(chunk, name, value)
    with pytest.raises(InvalidInputError):
        SnapshotStore(tmp_path, CLUSTER).receive_chunk(chunk)
    assert not list(tmp_path.iterdir())


def test_too_large_a_row_leaves_nothing(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path, CLUSTER)
    with pytest.raises(InvalidInputError, match="too large"):
        store.write(header(20), iter([b"fits", bytes(MAX_ROW_BYTES + 1)]))
    assert store.latest() is None
    assert not list(tmp_path.iterdir())


def test_failing_rows_leave_the_older_one(tmp_path: Path) -> None:
    def failing() -> Iterator[bytes]:
        yield b"one"
        raise OSError("gone")

    store = SnapshotStore(tmp_path, CLUSTER)
    older = store.write(header(10), some_rows(3))
    with pytest.raises(OSError, match="gone"):
        store.write(header(20), failing())
    assert store.latest() == older
    assert [path.name for path in tmp_path.iterdir()] == [older.path.name]
