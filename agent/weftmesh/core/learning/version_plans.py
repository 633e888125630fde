"""Versions of a model: added as candidates, evaluated, activated by compare-and-set, rolled back, retired."""

from __future__ import annotations

from dataclasses import replace

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.learning.commands import ActivateVersion, AddVersion, RecordEvaluation, RetireVersion, RollBack
from weftmesh.core.learning.model import (
    Evaluation,
    Job,
    Round,
    RoundKind,
    RoundStage,
    Row,
    UnmaskIntent,
    Version,
    VersionStage,
)
from weftmesh.core.learning.outcomes import Reason, Verb
from weftmesh.core.learning.plans import (
    Change,
    Plan,
    Refusal,
    Unchanged,
    heeded,
    invalid,
    job_named,
    refuse_retired,
    require_stage,
    round_of,
    version_of,
)
from weftmesh.core.learning.promotion import objection
from weftmesh.core.learning.store import Store
from weftmesh.core.learning.validate import (
    check_coordinator,
    check_round_id,
    check_sha256,
    check_size,
    head_sums,
    metrics,
    note,
)


def plan_add_version(store: Store, command: AddVersion) -> Plan:
    """A new candidate, and the end of the round that made it."""
    check_coordinator(command.coordinator)
    check_sha256(command.sha256, "sha256")
    check_size(command.size_bytes, command.blob_holders)
    figures = metrics(command.metrics)
    job = heeded(job_named(store, command.job), command.coordinator)
    number = job.newest_version + 1
    draft = Version(
        job.name,
        number,
        command.parent,
        command.sha256,
        command.size_bytes,
        0,
        figures,
        command.coordinator,
        command.round_id,
        0,
        command.blob_holders,
        VersionStage.CANDIDATE,
        command.header.stamp,
    )
    if command.round_id:
        return _add_result(store, command, job, draft)
    _check_new_model(store, job, command.sha256)
    if command.parent:
        draft = replace(draft, as_of_s=version_of(store, job, command.parent).as_of_s)
    return _added(replace(job, newest_version=number), draft)


def _add_result(store: Store, command: AddVersion, job: Job, draft: Version) -> Plan:
    check_round_id(command.round_id)
    present = round_of(store, job, command.round_id)
    if present.kind is RoundKind.EVALUATION:
        raise Refusal(
            Reason.ROUND_STAGE, f"round {present.id.hex()} evaluates and makes no model; record its evaluation"
        )
    made = store.versions.get((job.name, present.result_version))
    if made is not None and made.sha256 == command.sha256:
        return Unchanged(job.name, made.number)
    intent = _intent_of(store, present)
    if command.parent not in (0, present.base_version):
        raise invalid(f"parent: {command.parent} is not the round's base version; send {present.base_version} or 0")
    _check_new_model(store, job, command.sha256)
    version = replace(
        draft,
        parent=present.base_version,
        contributors=len(intent.active),
        nano_rho=intent.nano_rho,
        as_of_s=present.as_of_s,
    )
    ended = _done(present, version.number, command.header.stamp)
    return _added(replace(job, newest_version=version.number, round_id=b""), version, ended)


def _added(job: Job, version: Version, *ended: Round) -> Change:
    return Change(
        Verb.VERSION_ADDED,
        job.name,
        (job, *ended, version),
        round_id=version.round_id,
        version=version.number,
        node=version.signer.node,
        note=f"of version {version.parent}" if version.parent else "",
        current_version=version.number,
    )


def _intent_of(store: Store, present: Round) -> UnmaskIntent:
    require_stage(present, RoundStage.INTENT, "a result counts after its intent and before the round is over")
    return store.intents[present.job, present.kind, present.base_version]


def _done(present: Round, result_version: int, stamp: int) -> Round:
    return replace(present, stage=RoundStage.DONE, result_version=result_version, ended_stamp=stamp)


def _check_new_model(store: Store, job: Job, sha256: bytes) -> None:
    """The same model under another number would get a second intent."""
    known = [one.number for one in store.versions_of(job.name) if one.sha256 == sha256]
    known += [one.base_version for one in store.intents_of(job.name) if one.base_sha256 == sha256]
    if known:
        raise Refusal(
            Reason.MODEL_KNOWN,
            f"the model is version {known[0]} of job {job.name} byte for byte; go on from that one, or start from "
            "other weights",
            OutcomeKind.ALREADY_EXISTS,
            current_version=known[0],
        )


def plan_record_evaluation(store: Store, command: RecordEvaluation) -> Plan:
    """What an evaluation round found, and its end."""
    check_coordinator(command.coordinator)
    heads = head_sums(command.heads)
    job = heeded(job_named(store, command.job), command.coordinator)
    present = round_of(store, job, command.round_id)
    if present.kind is not RoundKind.EVALUATION:
        raise Refusal(
            Reason.ROUND_STAGE, f"round {present.id.hex()} is for {present.kind.name.lower()}; add the version it made"
        )
    number = present.base_version
    known = store.evaluations.get((job.name, number))
    if known is not None and known.round_id == present.id and known.heads == heads:
        return Unchanged(job.name, number)
    intent = _intent_of(store, present)
    version_of(store, job, number)
    found = Evaluation(job.name, number, present.id, len(intent.active), heads, command.header.stamp)
    return Change(
        Verb.VERSION_EVALUATED,
        job.name,
        (replace(job, round_id=b""), _done(present, number, command.header.stamp), found),
        round_id=present.id,
        version=number,
        node=command.coordinator.node,
        note=objection(found),
        current_version=number,
    )


def plan_activate_version(store: Store, command: ActivateVersion) -> Plan:
    """A candidate in the place of the active version."""
    before = job = job_named(store, command.job)
    if command.coordinator is not None:
        check_coordinator(command.coordinator)
        job = heeded(before, command.coordinator)
        if command.unevaluated:
            raise invalid("unevaluated: only a person may take a version that nothing shows to be better; evaluate it")
    version = version_of(store, job, command.version)
    if version.stage is VersionStage.ACTIVE:
        return Unchanged(job.name, version.number)
    _check_expected(job, command.expected_active)
    if version.stage is not VersionStage.CANDIDATE:
        raise Refusal(
            Reason.VERSION_STAGE,
            f"version {version.number} of job {job.name} is {version.stage.name.lower()}, not a candidate; roll back "
            "to one that was active before",
        )
    against = "" if command.unevaluated else objection(store.evaluations.get((job.name, version.number)))
    if against:
        raise Refusal(
            Reason.NOT_BETTER,
            f"version {version.number} of job {job.name} is not promoted: {against}; evaluate it, or train on",
        )
    active = replace(version, stage=VersionStage.ACTIVE, activated_revision=store.revision + 1)
    former = _former(store, job, VersionStage.SUPERSEDED)
    return Change(
        Verb.VERSION_ACTIVATED,
        job.name,
        (replace(job, active_version=active.number), *former, active),
        version=active.number,
        node="" if command.coordinator is None else command.coordinator.node,
        note="not shown to be better" if command.unevaluated else "",
        current_version=active.number,
    )


def plan_roll_back(store: Store, command: RollBack) -> Plan:
    """An earlier version, or none, in the place of the active one, which is retired."""
    why = note(command.why)
    job = job_named(store, command.job)
    _check_expected(job, command.expected_active)
    if command.version == job.active_version:
        return Unchanged(job.name, job.active_version)
    if not job.active_version:
        raise Refusal(Reason.VERSION_STAGE, f"job {job.name} has no active version to roll back; activate one")
    rows: list[Row] = [replace(job, active_version=command.version), *_former(store, job, VersionStage.RETIRED)]
    if command.version:
        target = version_of(store, job, command.version)
        refuse_retired(target, "choose another one")
        present = store.versions[job.name, job.active_version]
        if target.stage is not VersionStage.SUPERSEDED and target.number != present.parent:
            raise Refusal(
                Reason.VERSION_STAGE,
                f"version {target.number} of job {job.name} was never active and is not the parent of version "
                f"{present.number}; activate it instead",
            )
        rows.append(replace(target, stage=VersionStage.ACTIVE, activated_revision=store.revision + 1))
    return Change(
        Verb.VERSION_ROLLED_BACK,
        job.name,
        tuple(rows),
        version=command.version,
        note=f"from version {job.active_version}: {why}",
        current_version=command.version,
    )


def plan_retire_version(store: Store, command: RetireVersion) -> Plan:
    """A version that nobody uses any more."""
    why = note(command.why)
    job = job_named(store, command.job)
    version = version_of(store, job, command.version)
    if version.stage is VersionStage.RETIRED:
        return Unchanged(job.name, version.number)
    if version.stage is VersionStage.ACTIVE:
        raise Refusal(
            Reason.VERSION_STAGE,
            f"version {version.number} of job {job.name} is active; roll back to another one first",
        )
    return Change(
        Verb.VERSION_RETIRED,
        job.name,
        (replace(version, stage=VersionStage.RETIRED),),
        version=version.number,
        note=why,
        current_version=version.number,
    )


def _check_expected(job: Job, expected_active: int) -> None:
    if job.active_version != expected_active:
        raise Refusal(
            Reason.VERSION_CONFLICT,
            f"version {job.active_version} of job {job.name} is active, not {expected_active} (0: none); read it again "
            "and decide",
            OutcomeKind.COLLISION,
            current_version=job.active_version,
        )


def _former(store: Store, job: Job, stage: VersionStage) -> tuple[Version, ...]:
    """The active version, as it will be; none when none is active."""
    return (replace(store.versions[job.name, job.active_version], stage=stage),) if job.active_version else ()
