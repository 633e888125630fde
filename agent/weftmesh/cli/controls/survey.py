"""All controls, and how they are looked at: one after the other, and each within its own time."""

from __future__ import annotations

import asyncio
from typing import Final

from weftmesh.cli.controls import host, records, router, transport
from weftmesh.cli.controls.evidence import Control, Evidence, Finding, Subject, unknown
from weftmesh.core.errors import WeftmeshError

DEADLINE_S: Final = 600.0
"""For one: reading a long chain again takes its time."""

CONTROLS: Final = (
    Control("mutual-tls", "Nodes prove themselves to each other by certificates, both ways", transport.mutual_tls),
    Control("tls13-only", "The mesh port speaks TLS 1.3 and nothing older", transport.tls13_only),
    Control("certificate-age", "The node's certificate is in force, and lives for days", transport.certificate_age),
    Control("revocation", "No member with a revoked certificate is connected", transport.revocation),
    Control("least-privilege", "The daemon runs with as few rights as it can", host.least_privilege),
    Control("socket-permissions", "Only its owner and its group may open the local socket", host.socket_permissions),
    Control("private-files", "Nobody else may read the node's keys and logs", host.private_files),
    Control("credentials", "Secrets reach the daemon as credentials, not by its environment", host.credentials),
    Control("roles", "Callers may do what roles say", records.roles),
    Control("audit-chain", "The audit log is as it was written", records.audit_chain),
    Control("egress-ledger", "The record of what left this node is as it was written", records.egress_ledger),
    Control("equal-voters", "Voters hold every acknowledged write and the same state", records.equal_voters),
    Control("backups", "The newest backup is encrypted and recent", records.backups),
    Control("limits", "Requests beyond the limits are refused", records.size_limits),
    Control("router-limits", "Requests to the router beyond the limits are refused", router.router_limits),
)


async def look(subject: Subject) -> list[Finding]:
    """Evidence for each control, measured now."""
    return [Finding(control, await _evidence(control, subject)) for control in CONTROLS]


async def _evidence(control: Control, subject: Subject) -> Evidence:
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await control.look(subject)
    except TimeoutError:
        return unknown(f"no result in {DEADLINE_S:g} s", control.name)
    except (WeftmeshError, OSError) as error:
        return unknown(str(error), control.name)
