"""A backup holds what was learned, and a restored mesh can go on with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from tests.unit.client.test_backup_files import Parts, Shelf, board_of, found_node
from tests.unit.core.learning.facts import FIRST, JOB, founded, opening
from tests.unit.core.ola_machine.agreed import EVERYTHING, LEDGER, applied, applying, confirming, window

from weftmesh.agent.board.machines import LogMachines
from weftmesh.client.backup.opening import open_backup
from weftmesh.client.backup.restoring import check_fresh, chosen_places, restore_backup
from weftmesh.core.access.commands import GrantRole
from weftmesh.core.access.machine import Access
from weftmesh.core.access.roles import Role
from weftmesh.core.board.commands import Header
from weftmesh.core.clock import HybridClock
from weftmesh.core.errors import DataCorruptionError
from weftmesh.mesh.v1 import backup_pb2, raft_pb2
from weftmesh.runtime.wire.access_rows import access_rows
from weftmesh.runtime.wire.backup_parts import FORMAT, closing_of
from weftmesh.runtime.wire.learning_rows import learning_rows
from weftmesh.runtime.wire.machine_rows import ACCESS, LEARNING, OLA, wrapped
from weftmesh.runtime.wire.ola_rows import ola_rows
from weftmesh.runtime.wire.snapshot_file import SnapshotReader, encode
from weftmesh.runtime.wire.snapshot_rows import rows_of

AGREED = (EVERYTHING, *(replace(LEDGER, name=name, service=name) for name in ("ledger", "fx-a", "fx-b")))
"""An agreement that says everything, and those that it needs."""


def parts_with(learned: Iterable[bytes], agreed: Iterable[bytes] = (), roles: Iterable[bytes] = ()) -> Parts:
    """What a node with these rows of learning, of agreements and of roles would stream."""
    state = board_of(1)
    opening_part = backup_pb2.BackupOpening(format=FORMAT, cluster="old", node="n1", version="1")
    opening_part.boards.add(home="mesh", revision=state.revision, state_hash=state.state_hash.hex(), applied_index=40)
    header = raft_pb2.SnapshotHeader(format=1, last_index=40, last_term=7, cluster="old")
    beside = chain(wrapped(LEARNING, learned), wrapped(OLA, agreed), wrapped(ACCESS, roles))
    pieces = list(encode(header, chain(rows_of(state), beside)))
    digest = hashlib.sha256(b"".join(pieces))
    data = [backup_pb2.BackupPart(data=backup_pb2.BackupData(board=0, data=piece)) for piece in pieces]
    return [backup_pb2.BackupPart(opening=opening_part), *data, closing_of(digest, sum(map(len, pieces)))]


def restored(path: Path, shelf: Shelf, data_dir: Path) -> LogMachines:
    with open_backup(path, shelf.identity, scratch=data_dir) as backup:
        restore_backup(chosen_places(backup, data_dir), check_fresh(data_dir))
    (snapshot,) = (data_dir / "mesh" / "snapshots").iterdir()
    machines = LogMachines("mesh", HybridClock())
    with snapshot.open("rb") as stream:
        reader = SnapshotReader(stream, snapshot)
        reader.header()
        machines.prepare_restore(reader.rows())()
    return machines


def test_a_restored_mesh_knows_the_versions_and_heeds_its_own_leaders(tmp_path: Path) -> None:
    shelf, mesh = Shelf(tmp_path), founded()
    mesh.train(1, 1)
    mesh.done(opening(2, 2))
    path = shelf.put(parts_with(learning_rows(mesh.learning.freeze())))

    machines = restored(path, shelf, found_node(tmp_path / "data"))

    assert machines.board.freeze() == board_of(1)
    assert machines.learning.versions(JOB) == mesh.learning.versions(JOB)
    job = machines.learning.job(JOB)
    assert job is not None
    assert (job.coordinator.term, job.round_id) == (0, b"")
    assert mesh.learning.jobs()[0].coordinator == FIRST
    machines.learning.check()


def test_a_backup_whose_learning_rows_are_not_whole_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    rows = list(learning_rows(founded().learning.freeze()))
    path = shelf.put(parts_with(rows[:-1]))
    with pytest.raises(DataCorruptionError, match="state hash"), open_backup(path, shelf.identity):
        pass


def test_a_restored_mesh_has_the_agreements_and_what_was_counted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    agreements = applied(applying(*AGREED), window("n1", 0), confirming("n1", 0))
    path = shelf.put(parts_with((), ola_rows(agreements.freeze())))

    machines = restored(path, shelf, found_node(tmp_path / "data"))

    assert machines.agreements.freeze() == agreements.freeze()


def test_a_backup_whose_agreements_are_not_what_their_hash_says_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    rows = list(ola_rows(applied(applying(*AGREED), window("n1", 0)).freeze()))
    path = shelf.put(parts_with((), rows[:-1]))

    with pytest.raises(DataCorruptionError), open_backup(path, shelf.identity, scratch=tmp_path):
        pass


def access_with_a_role() -> Access:
    access = Access()
    outcome, _ = access.apply(GrantRole(Header("user:root@n1", 1), "user:ann", "", Role.ADMIN))
    assert outcome.ok
    return access


def test_a_restored_mesh_is_closed_to_whom_the_former_was(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    access = access_with_a_role()
    path = shelf.put(parts_with((), (), access_rows(access.freeze())))

    machines = restored(path, shelf, found_node(tmp_path / "data"))

    assert machines.access.freeze() == access.freeze()


def test_a_backup_whose_roles_are_not_what_their_hash_says_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    rows = list(access_rows(access_with_a_role().freeze()))
    path = shelf.put(parts_with((), (), rows[:-1]))

    with pytest.raises(DataCorruptionError), open_backup(path, shelf.identity, scratch=tmp_path):
        pass
