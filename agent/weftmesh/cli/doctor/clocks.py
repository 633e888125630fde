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
    error_s = _PAIR * max(peer.clock_error_s for peer in told)  # of a difference, both clocks' errors
    compared = "the other one" if len(ahead_s) == _PAIR else f"the median of {len(ahead_s)} clocks"
    findings = []
    for node, apart_s in wrong_clocks(ahead_s, error_s).items():
        severity = Severity.FAILURE if abs(apart_s) > SKEW_FAILURE_S else Severity.WARNING
        summary = f"{node}'s clock is {'ahead' if apart_s > 0 else 'behind'} by {abs(apart_s):.1f} s"
        evidence = f"{apart_s:+.3f} s from {compared}, to within {error_s:.3f} s"
        fixes = patient.remedies.set_clock("" if node == survey.node else node)
        findings.append(Finding(CHECK, severity, summary, evidence, fixes))
    return findings or [Finding(CHECK, Severity.OK, "the clocks agree", ", ".join(map(_measured, told)))]


def wrong_clocks(ahead_s: Mapping[str, float], error_s: float) -> dict[str, float]:
    """The clocks that are too far from the median of all, and how far they are; of two, from each other.

    Args:
        ahead_s: each clock minus one of them.
        error_s: by how much a difference may be wrong.
    """
    middle_s = statistics.median(ahead_s.values())
    scale = _PAIR if len(ahead_s) == _PAIR else 1  # of two clocks nobody knows which one is wrong
    apart_s = {node: (found_s - middle_s) * scale for node, found_s in ahead_s.items()}
    return {node: found_s for node, found_s in apart_s.items() if abs(found_s) - error_s > SKEW_WARNING_S}


def _measured(peer: Answer) -> str:
    return f"{peer.node} {(peer.clock_ahead_s or 0.0) * 1e3:+.1f} ms to within {peer.clock_error_s * 1e3:.1f} ms"
