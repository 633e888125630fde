"""What `weftmesh upgrade` makes of what the members say: when an upgrade can begin, and what holds the level."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from weftmesh.cli.doctor.findings import Fix, Severity, exit_code_of
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.upgrade.builds import in_one_line, judge_answers, judge_level, judge_versions, order_of
from weftmesh.cli.upgrade.readiness import (
    LAG_ENTRIES_MAX,
    judge,
    judge_backup,
    judge_progress,
    judge_queues,
    judge_quorum,
)
from weftmesh.cli.upgrade.surroundings import judge_configuration, newest_backup
from weftmesh.mesh.v1 import mesh_pb2, upgrade_pb2


def member(
    name: str, *, version: str = "0.2.0", level: int = 2, role: int = mesh_pb2.MEMBER_ROLE_VOTER, lag: int = 0
) -> upgrade_pb2.MemberBuild:
    status = mesh_pb2.NodeStatus(
        node=name,
        version=version,
        quorum=True,
        commit_index=5_000,
        applied_index=5_000 - lag,
        role=mesh_pb2.ROLE_LEADER if name == "n1" else mesh_pb2.ROLE_FOLLOWER,
        supported_feature_level=level if level > 1 else 0,
    )
    return upgrade_pb2.MemberBuild(
        name=name,
        address=f"{name}:1",
        role=role,  # type: ignore[arg-type]  # the number of a role
        supported_feature_level=level,
        status=status,
    )


def silent(name: str) -> upgrade_pb2.MemberBuild:
    return upgrade_pb2.MemberBuild(
        name=name, address=f"{name}:1", role=mesh_pb2.MEMBER_ROLE_VOTER, error="UNAVAILABLE: refused"
    )


def mesh(*members: upgrade_pb2.MemberBuild, level: int = 2) -> upgrade_pb2.UpgradeState:
    return upgrade_pb2.UpgradeState(node="n1", feature_level=level, members=members)


START = "weftmeshd"
WHOLE = mesh(member("n1"), member("n2"), member("n3"))
MIXED = mesh(member("n1"), member("n2", version="0.1.0", level=1), member("n3"), level=1)


def test_a_whole_mesh_with_a_fresh_backup_can_begin() -> None:
    assert exit_code_of(judge(WHOLE, 1.0, "in /backups", START)) == ExitCode.OK


@pytest.mark.parametrize(
    ("state", "severity"),
    [
        (WHOLE, Severity.OK),
        (mesh(member("n1"), member("n2"), silent("n3")), Severity.FAILURE),
        (mesh(member("n1"), silent("n2"), silent("n3")), Severity.FAILURE),
        (mesh(member("n1"), member("n2")), Severity.WARNING),
        (mesh(member("n1")), Severity.WARNING),
        (mesh(*(member(f"n{number}") for number in range(1, 5)), silent("n5")), Severity.OK),
        (mesh(member("n1"), member("n2", role=mesh_pb2.MEMBER_ROLE_OBSERVER)), Severity.WARNING),
    ],
    ids=["all", "one is down", "no quorum", "two voters", "alone", "one of five is down", "an observer counts nothing"],
)
def test_writes_have_to_go_on_while_one_node_restarts(state: upgrade_pb2.UpgradeState, severity: Severity) -> None:
    assert judge_quorum(state, START).severity is severity


def test_whoever_lacks_much_of_the_log_is_waited_for() -> None:
    finding = judge_progress(mesh(member("n1"), member("n2", lag=LAG_ENTRIES_MAX + 1), member("n3", lag=1)))

    assert (finding.severity, finding.summary.split()[0]) == (Severity.FAILURE, "n2")
    assert "n2 lacks 1001" in finding.evidence


def test_whoever_joins_is_waited_for() -> None:
    joining = member("n4", role=mesh_pb2.MEMBER_ROLE_JOINING)

    assert judge_progress(mesh(member("n1"), joining)).severity is Severity.FAILURE


def test_writes_in_a_queue_are_pointed_out() -> None:
    waits = member("n2")
    waits.status.queued_writes = 3

    finding = judge_queues(mesh(member("n1"), waits))

    assert (finding.severity, finding.evidence) == (Severity.WARNING, "3 on n2")
    assert judge_queues(WHOLE).severity is Severity.OK


def test_a_silent_member_is_a_failure_with_the_reason() -> None:
    finding = judge_answers(mesh(member("n1"), silent("n3")), START)

    assert finding.severity is Severity.FAILURE
    assert "n3 at n3:1: UNAVAILABLE: refused" in finding.evidence
    assert finding.fixes == (Fix(START, "n3", "or remove it: weftmesh members rm n3"),)


def test_a_voter_that_is_missed_is_started_as_this_machine_starts_nodes() -> None:
    finding = judge_quorum(mesh(member("n1"), member("n2"), silent("n3")), START)

    assert finding.fixes == (Fix(START, "n3"),)


def test_a_mixed_mesh_names_those_to_upgrade_and_what_the_level_waits_for() -> None:
    versions, level = judge_versions(MIXED), judge_level(MIXED)

    assert [fix.node for fix in versions.fixes] == ["n2"]
    assert (level.severity, level.evidence) == (Severity.WARNING, "level 2 waits for n2")
    assert exit_code_of([versions, level]) == ExitCode.WARNINGS


def test_a_node_that_was_set_back_is_a_failure() -> None:
    finding = judge_level(mesh(member("n1"), member("n2", level=1)))

    assert (finding.severity, [fix.node for fix in finding.fixes]) == (Severity.FAILURE, ["n2"])


def test_a_silent_member_holds_the_level_too() -> None:
    finding = judge_level(mesh(member("n1"), silent("n2"), level=1))

    assert (finding.severity, finding.evidence) == (Severity.WARNING, "level 2 waits for n2")
    reached = judge_level(mesh(member("n1"), silent("n2")))
    assert (reached.severity, reached.summary) == (
        Severity.WARNING,
        "feature level 2; what n2 supports is not known",
    )


@pytest.mark.parametrize(
    ("state", "line", "same"),
    [
        (WHOLE, "0.2.0 everywhere, feature level 2", True),
        (mesh(member("n1"), level=1), "0.2.0 everywhere, feature level 1, 2 when all support it", False),
        (
            mesh(member("n1"), member("n2", version="0.1.0", level=1), level=1),
            "MIXED: n1 0.2.0 (level 2), n2 0.1.0 (level 1); feature level 1 until all are upgraded",
            False,
        ),
        (mesh(member("n1"), silent("n2")), "0.2.0 everywhere, feature level 2; n2 not asked or silent", False),
    ],
)
def test_the_versions_in_a_line(state: upgrade_pb2.UpgradeState, line: str, same: bool) -> None:
    assert in_one_line(state) == (line, same)


def test_observers_go_first_and_the_leader_last() -> None:
    observer = member("n9", role=mesh_pb2.MEMBER_ROLE_OBSERVER)

    assert order_of([member("n1"), member("n3"), member("n2"), observer]) == ["n9", "n2", "n3", "n1"]


@pytest.mark.parametrize(("age_h", "severity"), [(None, "warning"), (1.0, "ok"), (100.0, "warning")])
def test_a_backup_is_asked_for(age_h: float | None, severity: str) -> None:
    assert judge_backup(age_h, "in /backups").severity == severity


def test_the_newest_backup_counts(tmp_path: Path) -> None:
    for name, age_s in (("old.age", 90_000), ("new.age", 3_600), ("other.txt", 0)):
        path = tmp_path / name
        path.touch()
        moment = path.stat().st_mtime - age_s
        os.utime(path, (moment, moment))

    assert newest_backup(tmp_path, None)[0] == pytest.approx(1.0, abs=0.1)
    assert newest_backup(tmp_path, time.time() - 1_800)[0] == pytest.approx(0.5, abs=0.1)
    assert newest_backup(tmp_path, time.time() - 7_200)[0] == pytest.approx(1.0, abs=0.1)
    assert newest_backup(tmp_path / "absent", None)[0] is None


@pytest.mark.parametrize(
    ("script", "severity"),
    [
        ("exit 0", Severity.OK),
        (
            """echo '{"error": {"reason": "CONFIG_INVALID", "message": "line 3: no such key"}}'; exit 1""",
            Severity.FAILURE,
        ),
        ("""echo '{"error": {"reason": "INTERNAL", "message": "something else"}}'; exit 1""", Severity.UNKNOWN),
        ("echo python: not found >&2; exit 127", Severity.UNKNOWN),
    ],
)
async def test_the_next_build_judges_the_configuration(tmp_path: Path, script: str, severity: Severity) -> None:
    program = tmp_path / "weftmesh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)

    finding = await judge_configuration(program, tmp_path / "weftmesh.toml")

    assert finding.severity is severity
    assert severity is not Severity.FAILURE or finding.evidence == "line 3: no such key"


async def test_a_build_that_cannot_be_run_or_was_not_named_says_so(tmp_path: Path) -> None:
    assert (await judge_configuration(tmp_path / "absent", tmp_path)).severity is Severity.UNKNOWN
    assert (await judge_configuration(None, tmp_path)).severity is Severity.SKIPPED
