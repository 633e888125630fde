"""What a person reads of an examination, and what a program does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from weftmesh.cli.doctor.findings import Finding, Fix, Severity, exit_code_of
from weftmesh.cli.output import Output
from weftmesh.cli.tables import one_line

STYLES: Final = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.FAILURE: "bold red"}
_SEVERITY_WIDTH: Final = max(map(len, Severity))


def to_json(findings: Sequence[Finding], duration_s: float) -> dict[str, Any]:
    """One object with everything."""
    return {
        "findings": [finding.to_json() for finding in findings],
        "counts": {str(severity): count for severity, count in _counts(findings).items()},
        "exit_status": int(exit_code_of(findings)),
        "duration": round(duration_s, 3),
    }


def show(output: Output, findings: Sequence[Finding], duration_s: float) -> None:
    """One line a finding, with evidence and fixes below those that need any."""
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        head = f"{finding.severity:<{_SEVERITY_WIDTH}}  {finding.check:<{width}}  {one_line(finding.summary)}"
        quiet = finding.severity in (Severity.OK, Severity.SKIPPED)
        tail = f": {one_line(finding.evidence)}" if quiet and finding.evidence else ""
        output.data(head + tail, STYLES.get(finding.severity, ""))
        if not quiet:
            indent = " " * (_SEVERITY_WIDTH + 2)
            output.data(f"{indent}measured: {one_line(finding.evidence)}")
            for fix in finding.fixes:
                output.data(indent + _fix_line(fix))
    counts = ", ".join(f"{count} {severity}" for severity, count in _counts(findings).items() if count)
    output.note(f"{counts}; {duration_s:.1f} s")


def _fix_line(fix: Fix) -> str:
    where = f"on {fix.node}" if fix.node else "here"
    return f"fix {where}: {fix.command}" + (f"   # {fix.then}" if fix.then else "")


def _counts(findings: Sequence[Finding]) -> dict[Severity, int]:
    found = Counter(finding.severity for finding in findings)
    return {severity: found[severity] for severity in Severity}
