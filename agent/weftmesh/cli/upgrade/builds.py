"""Which versions and feature levels the members run. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.mesh.v1 import mesh_pb2, upgrade_pb2

ANSWERS: Final = "answers"
VERSIONS: Final = "versions"
LEVEL: Final = "level"


def answered(state: upgrade_pb2.UpgradeState) -> list[upgrade_pb2.MemberBuild]:
    """The members that said what they run."""
    return [member for member in state.members if member.HasField("status")]


def in_one_line(state: upgrade_pb2.UpgradeState) -> tuple[str, bool]:
    """The versions in a line, and whether they are the same everywhere."""
    builds = {(member.status.version, member.supported_feature_level) for member in answered(state)}
    silent = [member.name for member in state.members if not member.HasField("status")]
    unknown = f"; {', '.join(silent)} not asked or silent" if silent else ""
    if len(builds) == 1:
        ((version, supported),) = builds
        waits = f", {supported} when all support it" if supported > state.feature_level else ""
        return f"{version} everywhere, feature level {state.feature_level}{waits}{unknown}", not (silent or waits)
    each = ", ".join(
        f"{one.name} {one.status.version} (level {one.supported_feature_level})" for one in answered(state)
    )
    return f"MIXED: {each}; feature level {state.feature_level} until all are upgraded{unknown}", False


def judge_answers(state: upgrade_pb2.UpgradeState, start: str) -> Finding:
    """Whether every member says what it runs; `start` is the command that starts one."""
    silent = [member for member in state.members if not member.HasField("status")]
    if silent:
        evidence = "; ".join(f"{member.name} at {member.address}: {member.error}" for member in silent)
        fixes = tuple(Fix(start, member.name, f"or remove it: weftmesh members rm {member.name}") for member in silent)
        names = ", ".join(member.name for member in silent)
        return Finding(ANSWERS, Severity.FAILURE, f"{names} does not answer", evidence, fixes)
    return Finding(ANSWERS, Severity.OK, "every member answers", f"{len(state.members)} asked by {state.node}")


def judge_versions(state: upgrade_pb2.UpgradeState) -> Finding:
    """Whether all run the same."""
    line, same = in_one_line(state)
    builds = {(member.status.version, member.supported_feature_level) for member in answered(state)}
    if same or len(builds) <= 1:
        return Finding(VERSIONS, Severity.OK, "the same everywhere", line)
    highest = max(supported for _, supported in builds)
    return Finding(
        VERSIONS,
        Severity.WARNING,
        "an upgrade is under way",
        line,
        tuple(
            Fix("dnf upgrade --assumeyes weftmesh", member.name, "one node at a time")
            for member in answered(state)
            if member.supported_feature_level < highest
        ),
    )


def judge_level(state: upgrade_pb2.UpgradeState) -> Finding:
    """Whether every member supports the mesh's level, and what the next one waits for."""
    level = state.feature_level
    behind = [member for member in answered(state) if member.supported_feature_level < level]
    if behind:
        names = ", ".join(member.name for member in behind)
        evidence = ", ".join(f"{member.name} supports {member.supported_feature_level}" for member in behind)
        fixes = tuple(Fix("dnf upgrade --assumeyes weftmesh", member.name) for member in behind)
        summary = f"{names} cannot take in what a mesh of level {level} writes"
        return Finding(LEVEL, Severity.FAILURE, summary, evidence, fixes)
    highest = max((member.supported_feature_level for member in answered(state)), default=level)
    lagging = [member.name for member in state.members if member.supported_feature_level < highest]
    if lagging and highest == level:
        summary = f"feature level {level}; what {', '.join(lagging)} supports is not known"
        return Finding(LEVEL, Severity.WARNING, summary, "no answer")
    if lagging:
        evidence = f"level {highest} waits for {', '.join(lagging)}"
        return Finding(LEVEL, Severity.WARNING, f"feature level {level}; some support {highest}", evidence)
    if highest > level:
        evidence = f"all support {highest}; whoever leads raises the level within seconds"
        return Finding(LEVEL, Severity.WARNING, f"feature level {level}", evidence)
    return Finding(LEVEL, Severity.OK, f"feature level {level}", "every member supports it")


def order_of(members: Iterable[upgrade_pb2.MemberBuild]) -> list[str]:
    """In which order to upgrade: those that do not vote, then followers, and whoever leads last."""

    def rank(member: upgrade_pb2.MemberBuild) -> tuple[int, str]:
        leads = member.status.role == mesh_pb2.ROLE_LEADER
        return (2 if leads else member.role == mesh_pb2.MEMBER_ROLE_VOTER), member.name

    return [member.name for member in sorted(members, key=rank)]
