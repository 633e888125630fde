"""What keeps a node trustworthy: certificates, audits, backups, and the account of what left it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography import x509

from weftmesh.agent.audit.auditing import Auditor
from weftmesh.agent.privacy.ledger import EgressLedger
from weftmesh.runtime.identity.credentials import NodeIdentity
from weftmesh.runtime.metrics.model import Exposition, Kind, Metric

CERTIFICATE_EXPIRY: Final = Metric(
    "weftmesh_certificate_expiry_timestamp_seconds",
    Kind.GAUGE,
    "When a certificate ends, Unix time.",
    "seconds",
    ("certificate",),
)
AUDIT_TIME: Final = Metric(
    "weftmesh_audit_timestamp_seconds", Kind.GAUGE, "When the last audit of this node began, Unix time.", "seconds"
)
AUDIT_PASSED: Final = Metric(
    "weftmesh_audit_passed",
    Kind.GAUGE,
    "1 if every voter had every write and the same state in the last audit, else 0.",
)
AUDIT_WRITES: Final = Metric("weftmesh_audit_writes", Kind.GAUGE, "Acknowledged writes that the last audit looked for.")
AUDIT_VOTERS: Final = Metric(
    "weftmesh_audit_voters", Kind.GAUGE, "Voters of the last audit, by what came of each.", labels=("result",)
)
AUDIT_DURATION: Final = Metric("weftmesh_audit_duration_seconds", Kind.GAUGE, "What the last audit took.", "seconds")
BACKUP_TIME: Final = Metric(
    "weftmesh_backup_timestamp_seconds",
    Kind.GAUGE,
    "When a backup was last taken from this node, Unix time.",
    "seconds",
)
EGRESS_BYTES: Final = Metric(
    "weftmesh_egress_bytes", Kind.COUNTER, "Payload that the egress ledger let leave.", "bytes", ("class",)
)
EGRESS_RECORDS: Final = Metric(
    "weftmesh_egress_records", Kind.COUNTER, "Payloads that the egress ledger let leave.", labels=("class",)
)
SAFETY_METRICS: Final = (
    *(CERTIFICATE_EXPIRY, AUDIT_TIME, AUDIT_PASSED, AUDIT_WRITES, AUDIT_VOTERS, AUDIT_DURATION, BACKUP_TIME),
    *(EGRESS_BYTES, EGRESS_RECORDS),
)


class SafetyCollector:
    """Reads them.

    Args:
        identity: of the node.
        auditor: its audits.
        ledger: what left it.
        backup_mark: a file that was touched when a backup was taken.
    """

    def __init__(self, identity: NodeIdentity, auditor: Auditor, ledger: EgressLedger, backup_mark: Path) -> None:
        self._identity = identity
        self._auditor = auditor
        self._ledger = ledger
        self._backup_mark = backup_mark
        self._authority: tuple[bytes, float] = (b"", 0.0)

    def __call__(self, out: Exposition) -> None:
        """See model.Collector."""
        out.add(CERTIFICATE_EXPIRY, self._identity.material.not_after.timestamp(), "node")
        out.add(CERTIFICATE_EXPIRY, self._authority_ends_s(), "authority")
        self._audit(out)
        for egress_class, (count, size_bytes) in self._ledger.totals.items():
            out.add(EGRESS_RECORDS, count, egress_class.name.lower())
            out.add(EGRESS_BYTES, size_bytes, egress_class.name.lower())
        try:
            out.add(BACKUP_TIME, self._backup_mark.stat().st_mtime)
        except FileNotFoundError:
            return  # none was taken here

    def _authority_ends_s(self) -> float:
        pem = self._identity.material.authority_pem
        if self._authority[0] != pem:
            # Of several authorities, while one takes the place of another, the one that ends first is told.
            ends = min(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(pem))
            self._authority = pem, ends.timestamp()
        return self._authority[1]

    def _audit(self, out: Exposition) -> None:
        report = self._auditor.last
        if report is None:
            return
        out.add(AUDIT_TIME, report.start_time.ToMicroseconds() / 1e6)
        out.add(AUDIT_PASSED, int(report.passed))
        out.add(AUDIT_WRITES, report.writes)
        out.add(AUDIT_DURATION, report.duration.ToMicroseconds() / 1e6)
        silent = sum(bool(one.failure) for one in report.voters)
        lacking = sum(bool(one.missing) for one in report.voters)
        other = sum(one.state_differs or one.state_damaged for one in report.voters)
        well = sum(not (one.failure or one.missing or one.state_differs or one.state_damaged) for one in report.voters)
        for result, count in (("well", well), ("silent", silent), ("lacks_writes", lacking), ("other_state", other)):
            out.add(AUDIT_VOTERS, count, result)
