"""What certificates' commands change: a plan each, or a refusal; nothing is changed here."""

from __future__ import annotations

from weftmesh.core.records import record
from weftmesh.core.trust.commands import Readmit, ReportCertificate, Revoke
from weftmesh.core.trust.outcomes import Reason, Refusal
from weftmesh.core.trust.rows import STAMP_COUNTER_BITS, Limits, NodeCertificate, Revocation, Row
from weftmesh.core.trust.store import Store, key_of
from weftmesh.core.trust.validate import check_node, check_serial, check_sha256, check_time, check_why, invalid


@record(frozen=True, slots=True)
class Plan:
    """What to put and what to drop; with neither, the state says so already."""

    subject: str
    put: tuple[Row, ...] = ()
    gone: tuple[Row, ...] = ()


def plan_report(store: Store, command: ReportCertificate) -> Plan:
    """A node's word replaces its former one."""
    check_node(command.node)
    check_serial(command.serial)
    check_sha256("key_sha256", command.key_sha256)
    for name in (command.authority, *command.trusted):
        check_sha256("authority", name)
    if not 1 <= len(command.trusted) <= Limits.TRUSTED:
        raise invalid(f"trusted: names {len(command.trusted)} authorities; a node trusts 1 to {Limits.TRUSTED}")
    check_time("not_before", command.not_before_ms)
    check_time("not_after", command.not_after_ms)
    present = store.certificates.get(command.node)
    row = NodeCertificate(
        command.node,
        command.serial,
        command.key_sha256,
        command.authority,
        command.trusted,
        command.not_before_ms,
        command.not_after_ms,
        command.header.stamp,
    )
    if present is not None and _but_for_its_stamp(present) == _but_for_its_stamp(row):
        return Plan(command.node)
    if present is None and len(store.certificates) >= Limits.CERTIFICATES:
        raise Refusal(Reason.LIMIT_REACHED, f"{Limits.CERTIFICATES} nodes have told of their certificates already")
    return Plan(command.node, put=(row,))


def _but_for_its_stamp(row: NodeCertificate) -> tuple[object, ...]:
    return row.serial, row.key_sha256, row.authority, row.trusted, row.not_before_ms, row.not_after_ms


def plan_revoke(store: Store, command: Revoke) -> Plan:
    """Revoking again takes the keys back that the node was given since, and changes nothing if there are none."""
    if command.node or not command.serial:
        check_node(command.node)
    if command.serial:
        check_serial(command.serial)
    check_why(command.why)
    check_time("expires", command.expires_ms)
    for one in command.voters:
        check_node(one)
    header = command.header
    if command.expires_ms <= header.stamp >> STAMP_COUNTER_BITS:
        raise invalid("expires: is past; whatever it is about has expired by itself")
    row = Revocation(command.node, command.serial, command.why, header.actor, header.stamp, command.expires_ms)
    subject = command.serial or command.node
    present = store.revocations.get(key_of(row))
    if present is not None and not present.allowed_keys:
        return Plan(subject)
    _check_quorum(store, command)
    if present is None and len(store.revocations) >= Limits.REVOCATIONS:
        raise Refusal(
            Reason.LIMIT_REACHED,
            f"{Limits.REVOCATIONS} revocations are kept already; revoke nodes instead of serials, or rotate the "
            "authority: weftmesh cert rotate-ca --dry-run",
        )
    return Plan(subject, put=(row,))


def _check_quorum(store: Store, command: Revoke) -> None:
    """Two revocations may be asked for at the same moment, each harmless without the other."""
    if command.serial or command.node not in command.voters:
        return
    left = [one for one in command.voters if one != command.node and not is_shut_out(store, one)]
    needed = len(command.voters) // 2 + 1
    if len(left) < needed:
        raise Refusal(
            Reason.QUORUM_AT_RISK,
            f"without {command.node} {len(left)} of {len(command.voters)} voters are believed; {needed} are needed: "
            "let one in again or add a voter first; --force revokes all the same",
        )


def is_shut_out(store: Store, node: str) -> bool:
    """Whether all that a node had is revoked, and it was given no other key since."""
    revocation = store.revocations.get(node)
    return revocation is not None and not revocation.allowed_keys


def plan_readmit(store: Store, command: Readmit) -> Plan:
    """A node that is not revoked needs no permission."""
    check_node(command.node)
    check_sha256("key_sha256", command.key_sha256)
    present = store.revocations.get(command.node)
    if present is None or command.key_sha256 in present.allowed_keys:
        return Plan(command.node)
    shown = store.certificates.get(command.node)
    if shown is not None and shown.key_sha256 == command.key_sha256:
        raise invalid(f"key: is the one that {command.node} had when it was revoked; make another one")
    keys = (*present.allowed_keys, command.key_sha256)[-Limits.ALLOWED_KEYS :]
    row = Revocation(
        present.node, present.serial, present.why, present.actor, present.stamp, present.expires_ms, allowed_keys=keys
    )
    return Plan(command.node, put=(row,))
