"""The intent of a round: what keeps two sums from telling one contributor's part.

Two unmasked sums over the same model by different sets of contributors differ by what one of them sent. So a base
version gets one intent for each kind of round, whoever leads and whatever is retried.
"""

from __future__ import annotations

from dataclasses import replace

from weftmesh.core.learning.commands import CommitIntent
from weftmesh.core.learning.model import Job, Round, RoundStage, UnmaskIntent
from weftmesh.core.learning.outcomes import Reason, Verb
from weftmesh.core.learning.plans import (
    Change,
    Plan,
    Refusal,
    Unchanged,
    heeded,
    job_named,
    refuse_retired,
    require_stage,
    round_of,
    version_of,
)
from weftmesh.core.learning.round_rules import check_budget, check_sets, check_willing, closed
from weftmesh.core.learning.store import Store
from weftmesh.core.learning.validate import check_coordinator, node_set

Nodes = tuple[str, ...]


def plan_commit_intent(store: Store, command: CommitIntent) -> Plan:
    """The one intent of its base version, paid for."""
    check_coordinator(command.coordinator)
    active, dead = node_set(command.active, "active"), node_set(command.dead, "dead")
    job = heeded(job_named(store, command.job), command.coordinator)
    present = _round_on_base(store, job, command)
    known = store.intents.get((job.name, present.kind, present.base_version))
    if known is not None:
        return _committed_before(known, command, active, dead)
    _check_may_unmask(store, job, present, command, active, dead)
    intent = _intent(store, job, present, command, active, dead)
    return Change(
        Verb.INTENT_COMMITTED,
        job.name,
        (_paid(job, present, intent), replace(present, stage=RoundStage.INTENT), intent),
        round_id=present.id,
        version=present.base_version,
        node=command.coordinator.node,
        note=f"{len(active)} active, {len(dead)} dead",
        current_version=present.base_version,
    )


def _round_on_base(store: Store, job: Job, command: CommitIntent) -> Round:
    present = round_of(store, job, command.round_id)
    if present.base_version != command.base_version:
        raise Refusal(
            Reason.ROSTER_DIFFERS,
            f"round {present.id.hex()} is on version {present.base_version}, not {command.base_version}; "
            "unmask nothing",
        )
    return present


def _committed_before(known: UnmaskIntent, command: CommitIntent, active: Nodes, dead: Nodes) -> Plan:
    asked = (command.round_id, command.roster_sha256, active, dead)
    if (known.round_id, known.roster_sha256, known.active, known.dead) == asked:
        return Unchanged(known.job, known.base_version)
    raise closed(known)


def _check_may_unmask(
    store: Store, job: Job, present: Round, command: CommitIntent, active: Nodes, dead: Nodes
) -> None:
    require_stage(present, RoundStage.OPEN, "unmask nothing; open another round")
    check_sets(job, present, command.roster_sha256, active, dead)
    if not job.enabled:
        raise Refusal(Reason.JOB_DISABLED, f"job {job.name} was disabled meanwhile; unmask nothing, abandon the round")
    check_willing(store, job, active, "count them as dead, or abandon the round")


def _intent(store: Store, job: Job, present: Round, command: CommitIntent, active: Nodes, dead: Nodes) -> UnmaskIntent:
    """What is unmasked and what it costs, if there is budget and the base is good."""
    cost_nano_rho = check_budget(job)
    base = version_of(store, job, present.base_version)
    refuse_retired(base, "unmask nothing, abandon the round")
    return UnmaskIntent(
        job.name,
        present.kind,
        present.base_version,
        present.id,
        present.roster_sha256,
        active,
        dead,
        command.coordinator,
        base.sha256,
        cost_nano_rho,
    )


def _paid(job: Job, present: Round, intent: UnmaskIntent) -> Job:
    """A moment counts from here: before, no sum as of it can have been unmasked."""
    spent = job.spent_nano_rho + intent.nano_rho
    return replace(job, spent_nano_rho=spent, as_of_s=max(job.as_of_s, present.as_of_s))
