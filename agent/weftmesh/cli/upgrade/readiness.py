"""Whether a rolling upgrade can begin now. Pure, but for the clock and the files that it is given."""

from __future__ import annotations

from typing import Final

from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.cli.upgrade.builds import answered, judge_answers, judge_level, judge_versions, order_of
from weftmesh.mesh.v1 import mesh_pb2, upgrade_pb2

QUORUM: Final = "quorum"
CAUGHT_UP: Final = "caught up"
QUEUES: Final = "queues"
ORDER: Final = "order"
BACKUP: Final = "backup"
LAG_ENTRIES_MAX: Final = 1_000
"""A node that lacks no more has caught up; the same bound lets a new one vote."""
BACKUP_AGE_MAX_H: Final = 26.0
"""The timer takes one a day."""


def judge(state: upgrade_pb2.UpgradeState, backup_age_h: float | None, backups: str, start: str) -> list[Finding]:
    """All that the members' answers say.

    Args:
        state: of the mesh.
        backup_age_h: of the newest backup, in hours; None if there is none to be seen.
        backups: where it was looked for, in words.
        start: the command that starts a node.
    """
    return [
        judge_answers(state, start),
        judge_quorum(state, start),
        judge_progress(state),
        judge_queues(state),
        judge_versions(state),
        judge_level(state),
        judge_backup(backup_age_h, backups),
        Finding(
            ORDER, Severity.OK, " then ".join(order_of(state.members)), "those that do not vote first, the leader last"
        ),
    ]


def judge_quorum(state: upgrade_pb2.UpgradeState, start: str) -> Finding:
    """Whether writes go on while any one voter restarts; `start` is the command that starts a node."""
    voters = [member for member in state.members if member.role == mesh_pb2.MEMBER_ROLE_VOTER]
    following = [one.name for one in voters if one.HasField("status") and one.status.quorum]
    majority = len(voters) // 2 + 1
    evidence = (
        f"{len(following)} of {len(voters)} voters follow a leader ({', '.join(following)}), {majority} are needed"
    )
    if len(following) < majority:
        return Finding(QUORUM, Severity.FAILURE, "there is no quorum now: mend that first, see doctor", evidence)
    if len(following) > majority:
        return Finding(QUORUM, Severity.OK, "writes go on while any one node restarts", evidence)
    if len(voters) <= majority:
        return Finding(QUORUM, Severity.WARNING, "writes wait while a voter restarts: all voters are needed", evidence)
    away = sorted(one.name for one in voters if one.name not in following)
    fixes = tuple(Fix(start, name) for name in away)
    return Finding(QUORUM, Severity.FAILURE, "one more node that restarts would take the quorum away", evidence, fixes)


def judge_progress(state: upgrade_pb2.UpgradeState) -> Finding:
    """Whether everybody has the log."""
    committed = max((member.status.commit_index for member in answered(state)), default=0)
    behind = {one.name: committed - one.status.applied_index for one in answered(state)}
    late = {name: count for name, count in behind.items() if count > LAG_ENTRIES_MAX}
    joining = [member.name for member in state.members if member.role == mesh_pb2.MEMBER_ROLE_JOINING]
    evidence = ", ".join(f"{name} lacks {count}" for name, count in sorted(behind.items())) + " committed entries"
    if late or joining:
        names = ", ".join(sorted({*late, *joining}))
        return Finding(CAUGHT_UP, Severity.FAILURE, f"{names} is catching up: wait, and look again", evidence)
    return Finding(CAUGHT_UP, Severity.OK, "everybody has the log", evidence)


def judge_queues(state: upgrade_pb2.UpgradeState) -> Finding:
    """Whether writes wait in a node's queue, or stay there because they were refused."""
    full = {
        one.name: one.status.queued_writes + one.status.failed_queued_writes
        for one in answered(state)
        if one.status.queued_writes or one.status.failed_queued_writes
    }
    if not full:
        return Finding(QUEUES, Severity.OK, "no write waits on a node", "")
    evidence = ", ".join(f"{count} on {name}" for name, count in sorted(full.items()))
    fixes = tuple(Fix("weftmesh pending ls", name) for name in sorted(full))
    return Finding(QUEUES, Severity.WARNING, "writes wait; the upgrade keeps them", evidence, fixes)


def judge_backup(age_h: float | None, where: str) -> Finding:
    """Whether there is a way back: a level that was raised does not fall, and a backup is older than it."""
    fix = (Fix("weftmesh backup --to board.age --recipient KEY"),)
    if age_h is None:
        return Finding(BACKUP, Severity.WARNING, "no backup is known here; take one", where, fix)
    evidence = f"the newest is {age_h:.1f} h old, {where}"
    if age_h > BACKUP_AGE_MAX_H:
        return Finding(BACKUP, Severity.WARNING, "the newest backup is old; take one", evidence, fix)
    return Finding(BACKUP, Severity.OK, "there is a backup", evidence)
