"""What a verification of a hash chain found, in words: the audit log's and the egress ledger's are told alike."""

from __future__ import annotations

from weftmesh.access.v1 import audit_log_pb2
from weftmesh.cli.output import Output
from weftmesh.cli.sizes import size_text
from weftmesh.cli.tables import one_line
from weftmesh.core.hash_chain import Head
from weftmesh.privacy.v1 import privacy_pb2

Verified = audit_log_pb2.AuditLogVerification | privacy_pb2.LedgerVerification


def show_findings(output: Output, found: Verified, kept: str = "") -> None:
    """Show each finding, and how much was read.

    Args:
        output: where to.
        found: what the node answered.
        kept: which records there are, if not all since the first.
    """
    for one in found.findings:
        # In full, whatever the terminal's width: this is evidence.
        place = f"{one.file}, byte {one.offset_bytes}, record {one.sequence}" if one.file else f"record {one.sequence}"
        output.data(one_line(f"{place}: {one.found}"))
    if found.findings_count > len(found.findings):
        output.error(f"further findings: {found.findings_count - len(found.findings)}")
    output.note(
        f"records: {found.records}{kept}; files: {found.files}, {size_text(found.size_bytes)}; "
        f"{found.duration.ToNanoseconds() / 1e9:.1f} s; anchor: {Head(found.head.sequence, found.head.hash)}"
    )
