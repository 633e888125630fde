"""Jobs and who takes no part in them: what people decide."""

from __future__ import annotations

from dataclasses import replace

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.learning.commands import DefineJob, SetOptOut, SwitchJob
from weftmesh.core.learning.model import Coordinator, Job, Limits, NoisePolicy, OptOut
from weftmesh.core.learning.outcomes import Reason, Verb
from weftmesh.core.learning.plans import Change, Plan, Refusal, Unchanged, job_named
from weftmesh.core.learning.store import Store
from weftmesh.core.learning.validate import check_definition, check_job_name, check_node, checked_noise, note

NOBODY = Coordinator("", 0)
"""Before the first coordinator."""


def plan_define_job(store: Store, command: DefineJob) -> Plan:
    """A job as it will be."""
    check_job_name(command.job)
    check_definition(command.spec, command.contributors_floor, command.threshold_percent, command.interval_s)
    noise = checked_noise(command.noise, command.contributors_floor)
    before = store.jobs.get(command.job)
    _check_version(command, before)
    if before is None and len(store.jobs) >= Limits.JOBS:
        raise Refusal(Reason.LIMIT_REACHED, f"there are {Limits.JOBS} jobs already; redefine one of them")
    job = Job(
        command.job,
        command.spec,
        command.contributors_floor,
        command.threshold_percent,
        noise,
        command.interval_s,
        version=1,
        enabled=True,
        coordinator=NOBODY,
    )
    if before is None:
        return Change(Verb.JOB_DEFINED, job.name, (job,), current_version=job.version)
    _check_redefinable(before, noise)
    job = replace(
        before,
        spec=job.spec,
        contributors_floor=job.contributors_floor,
        threshold_percent=job.threshold_percent,
        noise=job.noise,
        interval_s=job.interval_s,
    )
    if job == before:
        return Unchanged(job.name, job.version)
    job = replace(job, version=before.version + 1)
    return Change(Verb.JOB_DEFINED, job.name, (job,), current_version=job.version)


def _check_version(command: DefineJob, before: Job | None) -> None:
    present = 0 if before is None else before.version
    if command.version == present:
        return
    if before is not None and not command.version:
        raise Refusal(
            Reason.VERSION_CONFLICT,
            f"job {command.job} is there already; send version {present} to change it, or choose another name",
            OutcomeKind.ALREADY_EXISTS,
            current_version=present,
        )
    raise Refusal(
        Reason.VERSION_CONFLICT,
        f"job {command.job} is at version {present}, not {command.version}; read it again and decide",
        OutcomeKind.COLLISION,
        current_version=present,
    )


def _check_redefinable(job: Job, noise: NoisePolicy | None) -> None:
    if job.round_id:
        raise Refusal(
            Reason.ROUND_UNDER_WAY,
            f"round {job.round_id.hex()} of job {job.name} is under way by its present definition; wait for its end, "
            "or abandon it",
        )
    if noise is not None and noise.budget_nano_rho < job.spent_nano_rho:
        raise Refusal(
            Reason.BUDGET_SPENT,
            f"job {job.name} has spent {job.spent_nano_rho} billionths of rho already, more than the new budget of "
            f"{noise.budget_nano_rho}; disable the job instead",
        )


def plan_switch_job(store: Store, command: SwitchJob) -> Plan:
    """A job, enabled or not."""
    before = job_named(store, command.job)
    if before.enabled is command.enabled:
        return Unchanged(before.name, before.version)
    job = replace(before, enabled=command.enabled, version=before.version + 1)
    verb = Verb.JOB_ENABLED if job.enabled else Verb.JOB_DISABLED
    return Change(verb, job.name, (job,), current_version=job.version)


def plan_set_opt_out(store: Store, command: SetOptOut) -> Plan:
    """An opt-out, or none."""
    check_node(command.node)
    if command.job:
        check_job_name(command.job)  # it may be defined later: a veto can come first
    known = store.opt_outs.get((command.node, command.job))
    if (known is not None) is command.out:
        return Unchanged(command.job)
    header = command.header
    if known is not None:
        return Change(
            Verb.OPTED_IN, command.job, (), (known,), node=command.node, note=command.why and note(command.why)
        )
    if len(store.opt_outs) >= Limits.OPT_OUTS:
        raise Refusal(
            Reason.LIMIT_REACHED, f"{Limits.OPT_OUTS} opt-outs are kept already; take back those of nodes that left"
        )
    why = note(command.why) if command.why else ""
    row = OptOut(command.node, command.job, why, header.actor, header.stamp)
    return Change(Verb.OPTED_OUT, command.job, (row,), node=command.node, note=why)
