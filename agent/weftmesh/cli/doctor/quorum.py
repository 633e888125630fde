"""Whether a majority of the voters answers, and whether they follow a leader."""

from __future__ import annotations

from typing import Final

from weftmesh.cli.doctor.findings import Finding, Severity
from weftmesh.cli.doctor.patient import Patient
from weftmesh.cli.doctor.survey import Survey
from weftmesh.mesh.v1 import mesh_pb2

CHECK: Final = "quorum"


async def check_quorum(patient: Patient) -> list[Finding]:
    """Count the voters that answer, and ask those for their leader."""
    survey = await patient.survey()
    voters = sorted(name for name, one in survey.members.items() if one.role == mesh_pb2.MEMBER_ROLE_VOTER)
    if not voters:
        why = survey.not_asked or survey.own_error or "no member answered"
        return [Finding(CHECK, Severity.SKIPPED, "nobody answers who knows the voters", why)]
    if survey.own is not None and survey.own.quorum and survey.not_asked:
        evidence = f"{survey.node} hears its leader {survey.own.leader}; nobody else was asked: {survey.not_asked}"
        return [Finding(CHECK, Severity.OK, "writes are taken", evidence)]
    states = {peer.node: peer.status for peer in survey.answered} | ({survey.node: survey.own} if survey.own else {})
    answering = [name for name in voters if name in states]
    leaders = {state.leader for state in states.values() if state is not None and state.quorum and state.leader}
    majority = len(voters) // 2 + 1
    led = f"led by {', '.join(sorted(leaders))}" if leaders else "no leader"
    evidence = f"{len(answering)} of {len(voters)} voters answer ({', '.join(answering)}), {majority} are needed; {led}"
    if len(answering) >= majority and len(leaders) == 1 and _has_quorum(survey):
        return [Finding(CHECK, Severity.OK, "writes are taken", evidence)]
    if len(answering) < majority and not leaders:
        missing = [name for name in voters if name not in states]
        fixes = tuple(patient.remedies.start("" if name == survey.node else name) for name in missing)
        return [Finding(CHECK, Severity.FAILURE, "no majority of the voters answers: writes wait", evidence, fixes)]
    if not leaders:
        return [Finding(CHECK, Severity.FAILURE, "a majority answers and follows no leader: writes wait", evidence)]
    return [_cut_off(patient, survey, evidence)]


def _has_quorum(survey: Survey) -> bool:
    return survey.own is None or survey.own.quorum


def _cut_off(patient: Patient, survey: Survey, evidence: str) -> Finding:
    if _has_quorum(survey):
        return Finding(CHECK, Severity.WARNING, "the leader is seen, a majority is not, or an election is on", evidence)
    fixes = patient.remedies.restart()
    return Finding(CHECK, Severity.FAILURE, "this node does not hear the leader that others follow", evidence, fixes)
