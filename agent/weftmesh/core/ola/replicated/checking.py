"""The invariants of the machine of agreements. What they say in a few lines, the rest of the package keeps true."""

# ruff: noqa: S101 - assertions are what this module is for

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from weftmesh.core.board.hashing import HASH_MASK, request_hash
from weftmesh.core.board.state import RememberedRequest
from weftmesh.core.ola.replicated.hashing import chunk_hash, row_hash
from weftmesh.core.ola.replicated.history import TIERS
from weftmesh.core.ola.replicated.retention import (
    outlived_agreements,
    outlived_of,
    outlived_weights,
    outlived_windows,
)
from weftmesh.core.ola.replicated.rows import Attendance, Limits, Standing
from weftmesh.core.ola.replicated.store import Store


def check_store(store: Store) -> None:
    """Asserts what holds of rows and between them."""
    for standing in store.standings:
        _check_standing(store, standing)
    for generation in store.generations:
        assert generation.name in store.standings, "a generation of no agreement"
        assert generation.revision <= store.revision, "a generation is of the future"
    for attendance in store.attendances:
        _check_attendance(attendance)
    for window in store.windows:
        assert window.starts_s <= store.newest_s, "a window is newer than the newest"
    assert len(store.all_in_force()) <= Limits.AGREEMENTS, "too many agreements"
    assert len(store.overrides) <= Limits.OVERRIDES, "too many overrides"
    assert not outlived_windows(store), "windows are beyond their time"
    assert not outlived_agreements(store), "retired agreements are beyond their limit"
    assert not outlived_weights(store), "weights of no route"
    open_breaches = Counter((one.name, one.objective) for one in store.breaches if not one.ended_s)
    assert set(open_breaches.values()) <= {1}, "two breaches of one objective go on"
    _check_history(store)
    assert len(store.events) <= Limits.EVENTS_KEPT, "events are beyond their limit"
    revisions = [event.revision for event in store.events]
    assert revisions == sorted(revisions), "events are out of order"


def check_hash(store: Store, requests: Iterable[RememberedRequest], state_hash: int) -> None:
    """Asserts that the increments left the hash that all rows have."""
    total = sum(map(row_hash, store.rows())) + sum(map(chunk_hash, store.history.chunks()))
    total += sum(map(row_hash, store.events)) + sum(map(request_hash, requests))
    assert state_hash == total & HASH_MASK, "the state hash is not that of the rows"


def _check_standing(store: Store, standing: Standing) -> None:
    name = standing.name
    newest = store.generations.get((name, standing.generation))
    assert newest is not None, f"{name}: its newest generation is not there"
    assert newest.agreement.name == name, f"{name}: its generation is another agreement's"
    assert standing.revision <= store.revision, f"{name}: is of the future"
    assert not (standing.retired and standing.raised_to), f"{name}: retired and raised"
    assert not outlived_of(store, name), f"{name}: rows are beyond their limits"


def _check_attendance(attendance: Attendance) -> None:
    recorded, confirmed = (int.from_bytes(one, "little") for one in (attendance.recorded, attendance.confirmed))
    assert recorded, f"{attendance.node}: a day without a window"
    assert not confirmed & ~recorded, f"{attendance.node}: confirmed what it has not recorded"


def _check_history(store: Store) -> None:
    kept = {tier.part_s: tier for tier in TIERS}
    for chunk in store.history.chunks():
        tier = kept[chunk.part_s]
        assert chunk.starts_s % tier.chunk_s == 0, "a chunk begins between two"
        assert chunk.starts_s + tier.chunk_s + tier.kept_s > store.newest_s, "a chunk is beyond its time"
        assert chunk.name in store.standings, "a chunk of no agreement"
