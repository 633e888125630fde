"""`weftmesh access`: who may do what, on which project or on the whole mesh."""

from __future__ import annotations

from typing import Final, cast

import click

from weftmesh.access.v1 import access_pb2, command_pb2
from weftmesh.cli.commands.privacy import local_time
from weftmesh.cli.encoding import enum_word, to_json
from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column

MESH_WORD: Final = "mesh"
"""A project's id is in capitals, so that this is none."""
ROLES: Final = ("viewer", "editor", "admin")
BREAK_GLASS: Final = "yes: root of this node, or the user of its daemon; what you do as that is in the audit log"
PERMISSIONS: Final = ("view", "edit", "administer")
COLUMNS: Final = (
    Column("SUBJECT", flexible=True),
    Column("ROLE"),
    Column("ON"),
    Column("BY", flexible=True),
    Column("SINCE"),
)


@click.group()
def access() -> None:
    """Who may do what. Without any role, whoever may open the node's socket may do everything.

    A SUBJECT is user:NAME, group:NAME (a Unix group), both with @NODE for one node alone, or node:NAME. ON is a
    project's id, or `mesh` for the mesh itself and every project.
    """


@command(access, "grant")
@click.argument("subject")
@click.argument("role", type=click.Choice(ROLES))
@click.argument("on", metavar="PROJECT|mesh")
@click.option("--why", default="", help="For those who look into it later.")
@dry_run_option
async def grant(session: Session, subject: str, role: str, on: str, why: str, dry_run: bool) -> None:
    """Give SUBJECT a role on a project, or on the whole mesh; it takes the place of the one it had there."""
    change = command_pb2.GrantRole(subject=subject, project=_project(on), role=1 + ROLES.index(role), why=why)
    await _change(session, access_pb2.ChangeAccessRequest(grant_role=change, validate_only=dry_run), f"{role} on {on}")


@command(access, "revoke")
@click.argument("subject")
@click.argument("on", metavar="PROJECT|mesh")
@click.option("--why", default="", help="For those who look into it later.")
@dry_run_option
async def revoke(session: Session, subject: str, on: str, why: str, dry_run: bool) -> None:
    """Take away the role that SUBJECT has on a project, or on the whole mesh; open watches follow at once."""
    change = command_pb2.RevokeRole(subject=subject, project=_project(on), why=why)
    await _change(
        session, access_pb2.ChangeAccessRequest(revoke_role=change, validate_only=dry_run), f"no role on {on}"
    )


async def _change(session: Session, request: access_pb2.ChangeAccessRequest, what: str) -> None:
    async with session.client() as client:
        response = await client.access.change_access(request, timeout_s=session.timeout_s)
    dry_run = request.validate_only
    if session.output.as_json:
        session.output.json(to_json(response) | {"dry_run": dry_run})
        return
    would = "would have" if dry_run else "has"
    session.output.data(f"{response.subject} {would} {what}")
    for effect in response.effects:
        session.output.note(effect)


@command(access, "ls")
@click.option("--on", default=None, metavar="PROJECT|mesh", help="Only roles on this.")
@click.option("--subject", default="", help="Only this subject's.")
async def ls(session: Session, on: str | None, subject: str) -> None:
    """List roles, as far as you may see the projects that they are on."""
    request = access_pb2.ListBindingsRequest(subject=subject, project=_project(on) if on else "")
    async with session.client() as client:
        listed = await client.access.list_bindings(request, timeout_s=session.timeout_s)
    bindings = [one for one in listed.bindings if on != MESH_WORD or not one.project]
    if session.output.as_json:
        shown = [to_json(one) for one in bindings]
        session.output.json({"bindings": shown, "revision": listed.revision, "mesh_governed": listed.mesh_governed})
        return
    session.output.table(
        COLUMNS,
        [[one.subject, _role(one.role), one.project or MESH_WORD, one.actor, local_time(one.time)] for one in bindings],
    )
    if not listed.mesh_governed:
        session.output.note("the mesh has no role: projects without any are open to whoever may open the socket")


@command(access, "check")
@click.argument("subject")
@click.argument("permission", type=click.Choice(PERMISSIONS))
@click.argument("on", metavar="PROJECT|mesh")
async def check(session: Session, subject: str, permission: str, on: str) -> ExitCode:
    """Say whether SUBJECT may view, edit or administer, and why; exits with 6 if not.

    The Unix groups of a user are those that this node knows.
    """
    request = access_pb2.CheckAccessRequest(subject=subject, permission=permission, project=_project(on))
    async with session.client() as client:
        answer = await client.access.check_access(request, timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json(to_json(answer))
    elif answer.allowed:
        session.output.data(f"yes: {basis_text(answer.basis, answer.role)}", "green")
    else:
        session.output.data(f"no: {answer.why}")
    return ExitCode.OK if answer.allowed else ExitCode.FORBIDDEN


@command(access, "whoami")
async def whoami(session: Session) -> None:
    """Say who you are to this node, and what you may do."""
    async with session.client() as client:
        answer = await client.access.who_am_i(timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json(to_json(answer))
        return
    session.output.pairs(
        [
            ("you are", answer.actor),
            ("roles name you as", ", ".join(answer.subjects)),
            ("service account", answer.service_account),
            ("break-glass", BREAK_GLASS if answer.break_glass else ""),
        ]
    )
    for one in answer.standings:
        session.output.data(f"on {one.project or MESH_WORD}: {basis_text(one.basis, one.role)}")


def basis_text(basis: int, role: int) -> str:
    """Why something is allowed, in words."""
    match cast("access_pb2.Basis", basis):
        case access_pb2.BASIS_OPEN:
            return "no role concerns it, so it is open to whoever may open the socket"
        case access_pb2.BASIS_BREAK_GLASS:
            return "as root of this node, or the user of its daemon"
        case access_pb2.BASIS_SERVICE_ACCOUNT:
            return "as one of the packages' own processes"
        case access_pb2.BASIS_BINDING:
            return f"by the role {_role(role)}"
        case _:
            return "nothing"


def _role(number: int) -> str:
    return enum_word(access_pb2.Role.DESCRIPTOR, number)


def _project(on: str) -> str:
    return "" if on == MESH_WORD else on
