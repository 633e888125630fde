"""What a check found: how bad it is, what was measured, and the commands that mend it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from weftmesh.cli.exit_codes import ExitCode


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    SKIPPED = "skipped"
    """Nobody asked for what is checked, or another finding has to be mended before it can be."""
    WARNING = "warning"
    """It works, and somebody should look."""
    UNKNOWN = "unknown"
    """The check could not be carried out."""
    FAILURE = "failure"
    """It does not work."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A command that mends something."""

    command: str
    """For a POSIX shell."""
    node: str = ""
    """Where to run it: a node's name, or words for one; empty for this node."""
    then: str = ""
    """What is left to do with what it prints, or what follows from it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check has to say."""

    check: str
    severity: Severity
    summary: str
    evidence: str
    """What was measured or read."""
    fixes: tuple[Fix, ...] = ()
    """In the order in which to run them."""

    def to_json(self) -> dict[str, Any]:
        """As `doctor --json` shows it."""
        return {
            "check": self.check,
            "severity": str(self.severity),
            "summary": self.summary,
            "evidence": self.evidence,
            "fixes": [{"command": fix.command, "node": fix.node, "then": fix.then} for fix in self.fixes],
        }


WORST_FIRST: Final = (
    (Severity.FAILURE, ExitCode.FAILURES),
    (Severity.UNKNOWN, ExitCode.COULD_NOT_RUN),
    (Severity.WARNING, ExitCode.WARNINGS),
)


def exit_code_of(findings: Iterable[Finding]) -> ExitCode:
    """The exit status for findings: a failure outweighs a check that could not run, which outweighs a warning."""
    found = {finding.severity for finding in findings}
    return next((code for severity, code in WORST_FIRST if severity in found), ExitCode.OK)
