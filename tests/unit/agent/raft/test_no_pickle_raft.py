"""No byte from a peer, the log or a snapshot is ever unpickled, and only the release that was read is loaded."""

from __future__ import annotations

import ast
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pysyncobj
import pytest
from pysyncobj import journal, serializer, syncobj, tcp_connection
from pysyncobj import pickle as own_pickle
from tests.fakes.raft_cluster import Cluster
from tests.fakes.snapshot_calls import SnapshotMessage

import weftmesh.agent.raft
from weftmesh.agent.raft.core import pin
from weftmesh.agent.raft.core.pin import NoPickle, PickleForbiddenError
from weftmesh.core.errors import DataCorruptionError
from weftmesh.mesh.v1 import raft_pb2

STOCK = Path(pysyncobj.__file__).parent


class Bomb:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "exploded"


@pytest.fixture
def bomb(mark: Path) -> bytes:
    return pickle.dumps(Bomb(mark))


def test_the_bomb_works(bomb: bytes, mark: Path) -> None:
    pickle.loads(bomb)
    assert mark.exists()


@pytest.mark.parametrize("module", [syncobj, serializer, tcp_connection, own_pickle])
def test_modules_have_no_pickle(module: ModuleType) -> None:
    assert isinstance(module.pickle, NoPickle)
    with pytest.raises(PickleForbiddenError):
        module.pickle.loads(b"")


@pytest.mark.parametrize("name", ["load", "loads", "dump", "dumps"])
def test_pickling_functions_raise(name: str) -> None:
    with pytest.raises(PickleForbiddenError):
        getattr(own_pickle, name)(b"")
    for owner in (journal,):
        if hasattr(owner, name):
            with pytest.raises(PickleForbiddenError):
                getattr(owner, name)(b"")


def test_no_module_of_the_engine_imports_pickle() -> None:
    for path in sorted(Path(weftmesh.agent.raft.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, "names", [])] if isinstance(node, ast.Import) else []
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not {"pickle", "marshal", "shelve", "dill"} & {*names, module}, path


def hostile_messages(bomb: bytes) -> Iterator[raft_pb2.RaftMessage | SnapshotMessage]:
    for prefix in (b"", b"\0", b"\1", b"\2", b"\3"):
        payload = raft_pb2.LogPayload(proposal_ids=[7], command=prefix + bomb)
        entries = [raft_pb2.LogEntry(index=3, term=5, payload=p) for p in (payload.SerializeToString(), prefix + bomb)]
        for one in entries:
            append = raft_pb2.AppendEntries(prev_index=2, prev_term=1, entries=[one], commit_index=3)
            yield raft_pb2.RaftMessage(term=5, append_entries=append)
        proposal = raft_pb2.Proposal(proposal_id=7, payload=payload)
        yield raft_pb2.RaftMessage(term=5, forward_proposals=raft_pb2.ForwardProposals(proposals=[proposal]))
        chunk = raft_pb2.SnapshotChunk(
            term=5, index=9, snapshot_term=5, size_bytes=len(prefix + bomb), data=prefix + bomb, sha256=bytes(32)
        )
        yield SnapshotMessage(0, chunk)


def test_a_pickle_from_a_peer_is_data(bomb: bytes, mark: Path) -> None:
    with Cluster("hardened", "ABC") as c:
        for message in hostile_messages(bomb):
            for receiver in "BC":
                c.receive("A", receiver, message)
        c.pump("BC", 3)
        assert bomb in c.commands("B")
        c.elect("B", "BC")
        for message in hostile_messages(bomb):
            c.receive("A", "B", message)
        c.pump("BC", 3)
    assert not mark.exists()


def test_a_pickle_in_the_log_is_data(bomb: bytes, mark: Path) -> None:
    with Cluster("hardened", "A") as c:
        c.elect("A", "A")
        c["A"].write(bomb)
        c.pump("A", 3)
        c.restart("A")
        c.pump("A", 20)
        assert c.commands("A") == [bomb]
    assert not mark.exists()


def test_a_pickle_in_a_snapshot_is_data(bomb: bytes, mark: Path) -> None:
    with Cluster("hardened", "A") as c:
        c.elect("A", "A")
        c["A"].write(bomb)
        c.pump("A", 3)
        c["A"].compact()
        c["A"].sync()
        c.restart("A")
        assert c.commands("A") == [bomb]
        files = c["A"].snapshots.files
        files[max(files)] = bomb
        with pytest.raises(DataCorruptionError):
            c.restart("A")
    assert not mark.exists()


def test_another_release_is_not_loaded(tmp_path: Path) -> None:
    copy = tmp_path / "pysyncobj"
    shutil.copytree(STOCK, copy)
    pin.verify(copy)
    source = copy / "syncobj.py"
    source.write_text(source.read_text() + "\n")
    with pytest.raises(ImportError, match=r"syncobj\.py is not the file of pysyncobj 0\.3\.17"):
        pin.verify(copy)
    source.unlink()
    with pytest.raises(ImportError, match="no such file"):
        pin.verify(copy)
