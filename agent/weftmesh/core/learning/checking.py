"""The invariants of the learning machine. What they say here in a few lines, the rest of the package keeps true."""

# ruff: noqa: S101 - assertions are what this module is for

from __future__ import annotations

from collections.abc import Iterable

from weftmesh.core.board.hashing import HASH_MASK, request_hash
from weftmesh.core.board.state import RememberedRequest
from weftmesh.core.learning.hashing import row_hash
from weftmesh.core.learning.model import AbandonCause, Job, Limits, Round, RoundStage, UnmaskIntent, VersionStage
from weftmesh.core.learning.retention import outlived
from weftmesh.core.learning.store import Store


def check_store(store: Store) -> None:
    """Asserts what holds of rows and between them."""
    for job in store.jobs:
        _check_job(store, job)
    for one in store.rounds:
        _check_round(store, one)
    for intent in store.intents:
        _check_intent(store, intent)
    for evaluation in store.evaluations:
        assert (evaluation.job, evaluation.version) in store.versions, "an evaluation of no version"
    revisions = [event.revision for event in store.events]
    assert revisions == list(range(store.event_floor + 1, store.revision + 1)), "events are not one for each revision"
    assert len(store.events) <= Limits.EVENTS_KEPT, "events are beyond their limit"


def check_hash(store: Store, requests: Iterable[RememberedRequest], state_hash: int) -> None:
    """Asserts that the increments left the hash that all rows have."""
    total = sum(map(row_hash, store.rows())) + sum(map(row_hash, store.events)) + sum(map(request_hash, requests))
    assert state_hash == total & HASH_MASK, "the state hash is not that of the rows"


def _check_job(store: Store, job: Job) -> None:
    assert job.contributors_floor >= Limits.CONTRIBUTORS_FLOOR, f"{job.name}: floor"
    assert job.threshold_percent >= 50, f"{job.name}: two disjoint sets reach the threshold"
    under_way = [one.id for one in store.rounds if one.job == job.name and one.is_under_way]
    assert under_way == ([job.round_id] if job.round_id else []), f"{job.name}: rounds under way"
    versions = store.versions_of(job.name)
    numbers = [one.number for one in versions]
    assert numbers == sorted(set(numbers)), f"{job.name}: versions are not in order"
    assert not numbers or 1 <= numbers[0] <= numbers[-1] == job.newest_version, f"{job.name}: newest version"
    active = [one.number for one in versions if one.stage is VersionStage.ACTIVE]
    assert active == ([job.active_version] if job.active_version else []), f"{job.name}: active version"
    assert len({one.sha256 for one in versions}) == len(versions), f"{job.name}: a model has two numbers"
    intents = store.intents_of(job.name)
    assert job.spent_nano_rho >= sum(one.nano_rho for one in intents), f"{job.name}: ledger"
    assert job.noise is None or job.spent_nano_rho <= job.noise.budget_nano_rho, f"{job.name}: budget"
    assert not outlived(store, job), f"{job.name}: rows are beyond their limits"
    for version in versions:
        assert version.parent < version.number, f"{job.name}: version {version.number} is older than its parent"


def _check_round(store: Store, one: Round) -> None:
    job = store.jobs[one.job]
    if one.is_under_way:
        assert one.coordinator.term <= job.coordinator.term, f"{one.id.hex()}: its term is newer than the job's"
    assert list(one.contributors) == sorted(set(one.contributors)), f"{one.id.hex()}: contributors"
    assert bool(one.why) is (one.stage is RoundStage.ABANDONED), f"{one.id.hex()}: why"
    assert one.why or one.cause is AbandonCause.OTHER, f"{one.id.hex()}: cause"
    assert one.as_of_s > 0, f"{one.id.hex()}: moment"
    assert bool(one.result_version) is (one.stage is RoundStage.DONE), f"{one.id.hex()}: result"
    intent = store.intents.get((one.job, one.kind, one.base_version))
    is_its_own = intent is not None and intent.round_id == one.id
    if one.stage is RoundStage.OPEN:
        assert intent is None, f"{one.id.hex()}: open on a closed base version"
    if one.stage is RoundStage.INTENT:
        assert is_its_own, f"{one.id.hex()}: its intent is not there"
    if is_its_own:
        assert one.as_of_s <= job.as_of_s, f"{one.id.hex()}: its moment is newer than the job's"
        assert one.stage is not RoundStage.OPEN, f"{one.id.hex()}: open with an intent"


def _check_intent(store: Store, intent: UnmaskIntent) -> None:
    job, where = store.jobs[intent.job], f"intent on {intent.job} {intent.base_version}"
    assert not set(intent.active) & set(intent.dead), f"{where}: both active and dead"
    assert len(intent.active) >= Limits.CONTRIBUTORS_FLOOR, f"{where}: floor"
    assert intent.base_version <= job.newest_version, f"{where}: no such version"
    present = store.rounds.get(intent.round_id)
    if present is not None:
        assert set(intent.active + intent.dead) == set(present.contributors), f"{where}: not the roster"
        assert intent.roster_sha256 == present.roster_sha256 != b"", f"{where}: roster"
    version = store.versions.get((intent.job, intent.base_version))
    assert version is None or version.sha256 == intent.base_sha256, f"{where}: another model"
