"""Rounds: opened, their roster fixed, abandoned. What ends a round in a sum is in `intent_plans`."""

from __future__ import annotations

from dataclasses import replace

from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.learning.commands import AbandonRound, FixRoster, OpenRound
from weftmesh.core.learning.model import AbandonCause, Job, Round, RoundKind, RoundStage, Row
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
from weftmesh.core.learning.round_rules import (
    check_budget,
    check_enough,
    check_moment,
    check_not_closed,
    check_willing,
    node_names,
)
from weftmesh.core.learning.store import Store
from weftmesh.core.learning.validate import check_coordinator, check_round_id, check_sha256, node_set, note


def plan_open_round(store: Store, command: OpenRound) -> Plan:
    """A new round, and the end of one without an intent that an earlier term left behind."""
    contributors = _checked(command)
    before = job_named(store, command.job)
    job = heeded(before, command.coordinator)
    opened = _opened(store, job, command, contributors)
    known = store.rounds.get(command.round_id)
    if known is not None:
        return _opened_before(known, opened)
    left_behind = _left_behind(store, before, opened)
    _check_may_open(store, job, opened)
    rows: tuple[Row, ...] = (replace(job, round_id=opened.id), *left_behind, opened)
    taken = f"in the place of round {left_behind[0].id.hex()}" if left_behind else ""
    return Change(
        Verb.ROUND_OPENED,
        job.name,
        rows,
        round_id=opened.id,
        version=opened.base_version,
        node=command.coordinator.node,
        note=taken,
        current_version=opened.base_version,
    )


def _checked(command: OpenRound) -> tuple[str, ...]:
    """Its contributors, once its values are right by themselves."""
    check_coordinator(command.coordinator)
    check_round_id(command.round_id)
    if command.kind not in list(RoundKind):
        raise invalid(f"kind: {int(command.kind)} is none of 1 (training), 2 (evaluation), 3 (statistics)")
    if command.roster_sha256:
        check_sha256(command.roster_sha256, "roster_sha256")
    return node_set(command.contributors, "contributors")


def _opened(store: Store, job: Job, command: OpenRound, contributors: tuple[str, ...]) -> Round:
    return Round(
        command.round_id,
        job.name,
        command.kind,
        command.base_version,
        command.coordinator,
        contributors,
        command.roster_sha256,
        RoundStage.OPEN,
        store.revision + 1,
        command.header.stamp,
        as_of_s=command.as_of_s,
    )


def _opened_before(known: Round, opened: Round) -> Plan:
    """The same round again is no change; its roster may have been fixed meanwhile."""
    asked = (opened.job, opened.kind, opened.base_version, opened.coordinator, opened.as_of_s)
    same = (known.job, known.kind, known.base_version, known.coordinator, known.as_of_s) == asked
    if same and set(known.contributors) <= set(opened.contributors):
        return Unchanged(known.job, known.base_version)
    raise Refusal(
        Reason.ROUND_EXISTS,
        f"round {known.id.hex()} is another one, of job {known.job} on version {known.base_version}; draw a new id",
        OutcomeKind.ALREADY_EXISTS,
    )


def _check_may_open(store: Store, job: Job, opened: Round) -> None:
    if not job.enabled:
        raise Refusal(Reason.JOB_DISABLED, f"job {job.name} is disabled; enable it before the next round")
    base = version_of(store, job, opened.base_version)
    refuse_retired(base, "start from another version")
    check_not_closed(store, opened)
    check_moment(job, opened.as_of_s, base.as_of_s, opened.opened_stamp)
    check_enough(job, opened.contributors)
    check_willing(store, job, opened.contributors, "ask the others only")
    check_budget(job)


def _left_behind(store: Store, job: Job, opened: Round) -> tuple[Round, ...]:
    if not job.round_id:
        return ()
    present = store.rounds[job.round_id]
    if present.stage is RoundStage.INTENT:
        raise Refusal(
            Reason.ROUND_UNDER_WAY,
            f"round {present.id.hex()} of job {job.name} has an intent; add what it made, or abandon it: version "
            f"{present.base_version} is closed then",
        )
    if opened.coordinator.term <= present.coordinator.term:
        raise Refusal(
            Reason.ROUND_UNDER_WAY,
            f"round {present.id.hex()} of job {job.name} is open in this term; finish it or abandon it first",
        )
    newer = opened.coordinator
    why = f"{newer.node} leads since term {newer.term} and opened another round"
    return (replace(present, stage=RoundStage.ABANDONED, why=why, ended_stamp=opened.opened_stamp),)


def plan_fix_roster(store: Store, command: FixRoster) -> Plan:
    """The roster of an open round: those of its contributors whose keys came."""
    check_coordinator(command.coordinator)
    check_sha256(command.roster_sha256, "roster_sha256")
    roster = node_set(command.contributors, "contributors")
    job = heeded(job_named(store, command.job), command.coordinator)
    present = round_of(store, job, command.round_id)
    if present.roster_sha256 == command.roster_sha256 and present.contributors == roster:
        return Unchanged(job.name, present.base_version)
    require_stage(present, RoundStage.OPEN, "a roster is fixed once, before the intent; open another round")
    if present.roster_sha256:
        raise Refusal(
            Reason.ROSTER_DIFFERS,
            f"the roster of round {present.id.hex()} is fixed already; abandon the round and open another one",
        )
    strangers = sorted(set(roster) - set(present.contributors))
    if strangers:
        raise Refusal(
            Reason.ROSTER_DIFFERS, f"{node_names(strangers)} were not asked to this round; leave them out of the roster"
        )
    check_enough(job, roster)
    check_willing(store, job, roster, "leave them out of the roster")
    fixed = replace(present, contributors=roster, roster_sha256=command.roster_sha256)
    return Change(
        Verb.ROSTER_FIXED,
        job.name,
        (job, fixed),
        round_id=fixed.id,
        version=fixed.base_version,
        node=command.coordinator.node,
        note=f"{len(roster)} contributors",
        current_version=fixed.base_version,
    )


def plan_abandon_round(store: Store, command: AbandonRound) -> Plan:
    """The end of a round that makes nothing."""
    check_coordinator(command.coordinator)
    why = note(command.why)
    if command.cause not in list(AbandonCause):
        raise invalid(f"cause: {int(command.cause)} is none of 0 (other), 1 (answered before)")
    job = heeded(job_named(store, command.job), command.coordinator)
    present = round_of(store, job, command.round_id)
    if present.stage is RoundStage.ABANDONED:
        return Unchanged(job.name, present.base_version)
    if present.stage is RoundStage.DONE:
        raise Refusal(
            Reason.ROUND_STAGE,
            f"round {present.id.hex()} of job {job.name} is done; retire what it made instead",
        )
    ended = replace(present, stage=RoundStage.ABANDONED, why=why, ended_stamp=command.header.stamp, cause=command.cause)
    return Change(
        Verb.ROUND_ABANDONED,
        job.name,
        (replace(job, round_id=b""), ended),
        round_id=ended.id,
        version=ended.base_version,
        node=command.coordinator.node,
        note=why,
        current_version=ended.base_version,
    )
