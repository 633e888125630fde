"""What the phases of a rotation change: begin, issue, finish, or abandon. Each may be asked again after a crash."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from weftmesh.core.board.commands import Header
from weftmesh.core.trust.commands import AbandonRotation, BeginRotation, FinishRotation, SwitchIssuer
from weftmesh.core.trust.outcomes import Reason, Refusal
from weftmesh.core.trust.plans import Plan
from weftmesh.core.trust.rows import AuthorityState, TrustedAuthority
from weftmesh.core.trust.store import Store
from weftmesh.core.trust.validate import check_authority, check_node, check_sha256, invalid

ISSUING = AuthorityState.ISSUING
COMING = AuthorityState.COMING
RETIRING = AuthorityState.RETIRING


def plan_begin(store: Store, command: BeginRotation) -> Plan:
    """Trust the coming authority; the very first rotation also writes down the present one."""
    check_authority("present", command.present)
    check_authority("coming", command.coming)
    present = _row(command.present, ISSUING, command.header)
    coming = _row(command.coming, COMING, command.header)
    if present.sha256 == coming.sha256:
        raise invalid("coming: is the present authority; make a new one")
    issuing = store.authority_in(ISSUING)
    if issuing is not None and issuing.sha256 != present.sha256:
        raise _other(issuing)
    under_way = store.authority_in(COMING) or store.authority_in(RETIRING)
    if under_way is not None and (under_way.sha256, under_way.state) != (coming.sha256, COMING):
        raise Refusal(
            Reason.ROTATION_UNDER_WAY,
            "another rotation is under way; finish it with `weftmesh cert rotate-ca finish`, or give it up with "
            "`weftmesh cert rotate-ca abandon` while it has only begun",
        )
    if under_way is not None:
        return Plan(coming.sha256)
    return Plan(coming.sha256, put=(coming,) if issuing is not None else (present, coming))


def plan_switch(store: Store, command: SwitchIssuer) -> Plan:
    """The coming authority issues, and the present one retires."""
    check_sha256("authority", command.authority)
    _check_members(command.members)
    issuing, coming = store.authority_in(ISSUING), store.authority_in(COMING)
    if issuing is not None and issuing.sha256 == command.authority:
        return Plan(command.authority)
    if issuing is None or coming is None or coming.sha256 != command.authority:
        raise _none("begin")
    if late := who_does_not_trust(store, command.members, coming.sha256):
        raise Refusal(
            Reason.MEMBER_NOT_READY,
            f"{', '.join(late)} did not confirm yet that the new authority is trusted there. A node that runs does so "
            "within seconds: try again; start the others, or remove them from the mesh",
        )
    header = command.header
    return Plan(command.authority, put=(_moved(issuing, RETIRING, header), _moved(coming, ISSUING, header)))


def plan_finish(store: Store, command: FinishRotation) -> Plan:
    """The retiring authority is trusted no more."""
    check_sha256("authority", command.authority)
    _check_members(command.members)
    _check_members(command.forced)
    issuing, retiring = store.authority_in(ISSUING), store.authority_in(RETIRING)
    if issuing is None or issuing.sha256 != command.authority:
        raise _none("begin") if issuing is None else _other(issuing)
    if retiring is None:
        if store.authority_in(COMING) is not None:
            raise _none("issue")
        return Plan(command.authority)
    late = [one for one in who_is_not_certified_by(store, command.members, issuing.sha256) if one not in command.forced]
    if late:
        raise Refusal(
            Reason.MEMBER_NOT_READY,
            f"{', '.join(late)} did not confirm a certificate of the new authority yet. A node that runs does so "
            "within seconds: try again; start the others, or remove them. Named with --force they are cut off, and "
            "join again with a token made for them",
        )
    return Plan(command.authority, gone=(retiring,))


def plan_abandon(store: Store, command: AbandonRotation) -> Plan:
    """The coming authority goes; nothing was issued by it."""
    check_sha256("authority", command.authority)
    coming = store.authority_in(COMING)
    if coming is None and store.authorities.get(command.authority) is None:
        return Plan(command.authority)
    if coming is None or coming.sha256 != command.authority:
        raise Refusal(
            Reason.NO_ROTATION,
            "the new authority issues certificates already; go on with `weftmesh cert rotate-ca finish`",
        )
    return Plan(command.authority, gone=(coming,))


def who_does_not_trust(store: Store, members: Iterable[str], authority: str) -> list[str]:
    """Members that did not say that they trust an authority."""
    return [one for one in members if (said := store.certificates.get(one)) is None or authority not in said.trusted]


def who_is_not_certified_by(store: Store, members: Iterable[str], authority: str) -> list[str]:
    """Members that did not say that they show a certificate of an authority."""
    return [one for one in members if (said := store.certificates.get(one)) is None or said.authority != authority]


def _row(certificate: bytes, state: AuthorityState, header: Header) -> TrustedAuthority:
    return TrustedAuthority(sha256(certificate).hexdigest(), certificate, state, header.actor, header.stamp)


def _moved(authority: TrustedAuthority, state: AuthorityState, header: Header) -> TrustedAuthority:
    return TrustedAuthority(authority.sha256, authority.certificate, state, header.actor, header.stamp)


def _check_members(members: Iterable[str]) -> None:
    for one in members:
        check_node(one)


def _none(step: str) -> Refusal:
    return Refusal(Reason.NO_ROTATION, f"no rotation has come so far; first: weftmesh cert rotate-ca {step}")


def _other(issuing: TrustedAuthority) -> Refusal:
    return Refusal(
        Reason.OTHER_AUTHORITY,
        f"the mesh's issuing authority is {issuing.sha256[:16]}..., another one; do this on the node that has its key",
    )
