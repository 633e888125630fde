"""What a command about roles comes to: a binding written or gone, nothing at all, or a refusal."""

from __future__ import annotations

from weftmesh.core.access.commands import Command, GrantRole, RevokeRole
from weftmesh.core.access.model import MESH, Binding, Limits, place_text
from weftmesh.core.access.outcomes import Reason, Verb
from weftmesh.core.access.roles import Role
from weftmesh.core.access.store import Store, is_person
from weftmesh.core.access.subjects import parse_subject
from weftmesh.core.board.outcomes import OutcomeKind
from weftmesh.core.board.validate import check_project_id, single_line
from weftmesh.core.errors import InvalidInputError
from weftmesh.core.records import record


class Refusal(Exception):  # noqa: N818 - not an error: it travels from a rule to `Access.apply`, which answers with it
    """A command that the machine does not apply, and why."""

    def __init__(self, reason: Reason, message: str, kind: OutcomeKind = OutcomeKind.PRECONDITION) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.kind = kind


@record(frozen=True, slots=True)
class Change:
    """One revision: `verb` happened to `binding`."""

    verb: Verb
    binding: Binding


@record(frozen=True, slots=True)
class Unchanged:
    """The machine says so already."""

    subject: str


Plan = Change | Unchanged


def plan_of(store: Store, command: Command) -> Plan:
    """What `command` comes to.

    Raises:
        Refusal: it is refused.
    """
    _check(command)
    if isinstance(command, GrantRole):
        return _grant(store, command)
    return _revoke(store, command)


def _check(command: Command) -> None:
    try:
        subject = str(parse_subject(command.subject))
    except InvalidInputError as error:
        raise _invalid(str(error)) from None
    if subject != command.subject:
        raise _invalid(f"subject: {command.subject!r} is written {subject!r}")
    if command.project:
        check_project_id(command.project)
    if command.why:
        single_line("why", command.why, Limits.WHY_CHARACTERS)


def _grant(store: Store, command: GrantRole) -> Plan:
    if command.role is Role.ADMIN and not is_person(command.subject):
        raise _invalid("a node cannot be an admin: what admins do, people do on a node's own socket. Grant it editor")
    known = store.bindings.get((command.project, command.subject))
    if known is not None and known.role is command.role:
        return Unchanged(command.subject)
    if known is None and len(store.bindings) >= Limits.BINDINGS:
        raise Refusal(
            Reason.LIMIT_REACHED, f"there are {Limits.BINDINGS} bindings already; revoke some, or bind groups instead"
        )
    if command.project == MESH and command.role is not Role.ADMIN:
        if not any(store.mesh_admins()):
            raise Refusal(
                Reason.ADMIN_FIRST,
                "the mesh has no admin yet, and its first role makes everybody follow roles; grant somebody admin on "
                "the mesh first",
            )
        _check_another_admin(store, command.subject)
    binding = Binding(command.project, command.subject, command.role, command.header.actor, command.header.stamp)
    return Change(Verb.GRANTED, binding)


def _revoke(store: Store, command: RevokeRole) -> Plan:
    known = store.bindings.get((command.project, command.subject))
    if known is None:
        raise Refusal(
            Reason.NO_SUCH_BINDING,
            f"{command.subject} has no role on {place_text(command.project)}; see `weftmesh access ls`",
            OutcomeKind.NOT_FOUND,
        )
    if command.project == MESH:
        _check_another_admin(store, command.subject)
    return Change(Verb.REVOKED, known)


def _check_another_admin(store: Store, subject: str) -> None:
    if set(store.mesh_admins()) == {subject}:
        raise Refusal(
            Reason.LAST_ADMIN, f"{subject} is the last admin of the mesh; grant somebody else admin on the mesh first"
        )


def _invalid(message: str) -> Refusal:
    return Refusal(Reason.INVALID_VALUE, message, OutcomeKind.INVALID)
