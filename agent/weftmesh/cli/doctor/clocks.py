"""How far this node's wall clock and those of the members that answer are apart."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Final

from weftmesh.cli.doctor.findings import Finding, Severity
from weftmesh.cli.doctor.patient import Patient
from weftmesh.cli.doctor.probe import Answer

CHECK: Final = "clocks"
SKEW_WARNING_S: Final = 1.0
"""Histories show whose change came when; people compare them with what they remember."""
SKEW_FAILURE_S: Final = 60.0
"""Far below the day by which certificates and the hybrid clock bear with a wrong clock, and far beyond any drift."""
_PAIR: Final = 2


async def check_clocks(patient: Patient) -> list[Finding]:
    """Compare every clock with the median of all, this node's own among them."""
    survey = await patient.survey()
    told = [peer for peer in survey.answered if peer.clock_ahead_s is not None]
    if not told:
        return [Finding(CHECK, Severity.SKIPPED, "no clock to compare with", survey.not_asked or "no member answered")]
    ahead_s = {survey.node: 0.0} | {peer.node: peer.clock_ahead_s or 0.0 for peer in told}
    findings = judged(patient, survey.node, ahead_s, _PAIR * max(peer.clock_error_s for peer in told))
    return findings or [Finding(CHECK, Severity.OK, "the clocks agree", ", ".join(map(_measured, told)))]


def judged(patient: Patient, own: str, ahead_s: Mapping[str, float], error_s: float) -> list[Finding]:
    """Findings about the clocks that are apart from the median, of two clocks from each other.

    Args:
        patient: for the remedies.
        own: this node's name.
        ahead_s: each clock minus this node's.
        error_s: by how much the difference of two of these may be wrong.
    """
    alone = len(ahead_s) == _PAIR  # of two clocks nobody knows which one is wrong
    compared = "the other one" if alone else f"the median of {len(ahead_s)} clocks"
    middle_s = statistics.median(ahead_s.values())
    findings = []
    for node, found_s in ahead_s.items():
        apart_s = (found_s - middle_s) * (_PAIR if alone else 1)
        if abs(apart_s) - error_s > SKEW_WARNING_S:
            severity = Severity.FAILURE if abs(apart_s) > SKEW_FAILURE_S else Severity.WARNING
            summary = f"{node}'s clock is {'ahead' if apart_s > 0 else 'behind'} by {abs(apart_s):.1f} s"
            evidence = f"{apart_s:+.3f} s from {compared}, to within {error_s:.3f} s"
            fixes = patient.remedies.set_clock("" if node == own else node)
            findings.append(Finding(CHECK, severity, summary, evidence, fixes))
    return findings


def _measured(peer: Answer) -> str:
    return f"{peer.node} {(peer.clock_ahead_s or 0.0) * 1e3:+.1f} ms to within {peer.clock_error_s * 1e3:.1f} ms"
