"""Which version each member runs; a mesh may be mixed while it is upgraded, and no longer."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.cli.doctor.patient import Patient

CHECK: Final = "versions"
UPGRADE: Final = "dnf upgrade --assumeyes weftmesh"


async def check_versions(patient: Patient) -> list[Finding]:
    """Compare what the members say, and what is installed here."""
    survey = await patient.survey()
    installed = version("weftmesh")
    found = {peer.node: peer.status.version for peer in survey.answered if peer.status is not None}
    if survey.own is not None:
        found[survey.node] = survey.own.version
    shown = ", ".join(f"{node} {number}" for node, number in sorted(found.items()))
    findings = []
    if survey.own is not None and survey.own.version != installed:
        evidence = f"{survey.own.version} runs, {installed} is installed"
        fixes = patient.remedies.restart()
        findings.append(Finding(CHECK, Severity.WARNING, "this node runs another version", evidence, fixes))
    if len(set(found.values())) > 1:
        newest = max(found.values(), key=ordered)
        older = sorted(node for node, number in found.items() if number != newest)
        fixes = tuple(Fix(UPGRADE, "" if node == survey.node else node) for node in older)
        findings.append(Finding(CHECK, Severity.WARNING, f"{', '.join(older)} run an older version", shown, fixes))
    if not found:
        return [Finding(CHECK, Severity.SKIPPED, "no member answered", f"{installed} is installed here")]
    return findings or [Finding(CHECK, Severity.OK, "the same everywhere", shown)]


def ordered(number: str) -> tuple[int, ...]:
    """A version's numbers, for comparison; what is not a number counts as nothing."""
    return tuple(int(part) if part.isdigit() else 0 for part in number.split("."))
