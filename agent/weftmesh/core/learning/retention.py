"""What of a job's past is let go. It follows from the rows alone, so that replicas forget alike."""

from __future__ import annotations

from collections.abc import Iterator

from weftmesh.core.learning.model import Job, Limits, Row, UnmaskIntent, Version, VersionStage
from weftmesh.core.learning.store import Store


def outlived(store: Store, job: Job) -> list[Row]:
    """The rows of a job beyond the limits."""
    kept = _kept_versions(store, job)
    gone: list[Row] = [*_old_rounds(store, job), *_old_intents(store, job, kept)]
    for version in store.versions_of(job.name):
        if version.number not in kept:
            gone.append(version)
            evaluation = store.evaluations.get((job.name, version.number))
            gone += [] if evaluation is None else [evaluation]
    return gone


def _kept_versions(store: Store, job: Job) -> set[int]:
    """The newest, the active one, those that a rollback may name, and the base of the round under way."""
    versions = store.versions_of(job.name)
    kept = {version.number for version in versions[-Limits.VERSIONS_KEPT :]}
    former = sorted((one for one in versions if one.stage is VersionStage.SUPERSEDED), key=_activated)
    kept |= {version.number for version in former[-Limits.ROLLBACK_VERSIONS_KEPT :]}
    if job.active_version:
        kept |= {job.active_version, store.versions[job.name, job.active_version].parent}
    if job.round_id:
        kept.add(store.rounds[job.round_id].base_version)
    return kept


def _activated(version: Version) -> int:
    return version.activated_revision


def _old_rounds(store: Store, job: Job) -> Iterator[Row]:
    over = [one for one in store.rounds if one.job == job.name and not one.is_under_way]
    yield from over[: -Limits.ROUNDS_KEPT]


def _old_intents(store: Store, job: Job, kept_versions: set[int]) -> list[UnmaskIntent]:
    """Never one on a version that is kept: who forgets it could commit another."""
    surplus = [one for one in store.intents_of(job.name) if one.base_version not in kept_versions]
    return surplus[: -Limits.INTENTS_KEPT]
