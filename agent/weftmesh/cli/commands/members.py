"""`weftmesh members`: who belongs to the mesh, who of them votes, and who has to go."""

from __future__ import annotations

import click

from weftmesh.cli.encoding import to_json
from weftmesh.cli.options import command, dry_run_option, json_option
from weftmesh.cli.output import Output
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.mesh.v1 import mesh_pb2

_ROLES = {mesh_pb2.MEMBER_ROLE_OBSERVER: "observer", mesh_pb2.MEMBER_ROLE_JOINING: "joining"}


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def members(context: click.Context) -> None:
    """Who belongs to the mesh; without a command, the list."""
    if context.invoked_subcommand is None:
        context.invoke(ls)


@command(members, "ls")
async def ls(session: Session) -> None:
    """List members."""
    async with session.client() as client:
        listed = await client.mesh.list_members(timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json({"members": [to_json(member) for member in listed.members]})
    else:
        show_members(session.output, list(listed.members))


def show_members(output: Output, found: list[mesh_pb2.Member]) -> None:
    """Print members, a line each."""
    columns = [Column("NODE"), Column("ADDRESS", flexible=True), Column("LINK"), Column("ROLE")]
    rows = []
    for member in found:
        link = "self" if member.self else "connected" if member.connected else "no connection"
        link = "revoked" if member.revoked else link
        match = str(member.match_index) if member.match_index else ""
        rtt = f"{member.round_trip_time.ToNanoseconds() / 1e6:.1f} ms" if member.HasField("round_trip_time") else ""
        role = "leader" if member.leader else _ROLES.get(member.role, "")
        rows.append([member.name, member.address, link, role, match, rtt])
    output.table([*columns, Column("MATCH", right=True), Column("RTT", right=True)], rows)


@command(members, "rm")
@click.argument("name")
@dry_run_option
async def rm(session: Session, name: str, dry_run: bool) -> None:
    """Take the node NAME out of the mesh, such as one that is gone for good.

    One that answers and has the authority stays: without it nobody could join, and certificates would run out.
    """
    async with session.client() as client:
        request = mesh_pb2.RemoveMemberRequest(name=name, validate_only=dry_run)
        member = await client.mesh.remove_member(request, timeout_s=session.timeout_s)
    _show_change(session, member, "removed", dry_run)


@command(members, "promote")
@click.argument("name")
@dry_run_option
async def promote(session: Session, name: str, dry_run: bool) -> None:
    """Give the observer NAME a vote; it has to have caught up."""
    async with session.client() as client:
        request = mesh_pb2.PromoteMemberRequest(name=name, validate_only=dry_run)
        member = await client.mesh.promote_member(request, timeout_s=session.timeout_s)
    _show_change(session, member, "promoted to a voter", dry_run)


@command(members, "demote")
@click.argument("name")
@dry_run_option
async def demote(session: Session, name: str, dry_run: bool) -> None:
    """Make the voter NAME an observer: it keeps and serves the board, and no majority needs it."""
    async with session.client() as client:
        request = mesh_pb2.DemoteMemberRequest(name=name, validate_only=dry_run)
        member = await client.mesh.demote_member(request, timeout_s=session.timeout_s)
    _show_change(session, member, "demoted to an observer", dry_run)


def _show_change(session: Session, member: mesh_pb2.Member, what: str, dry_run: bool) -> None:
    if session.output.as_json:
        session.output.json({"member": to_json(member), "dry_run": dry_run})
    else:
        session.output.data(f"{member.name} {'would be' if dry_run else 'was'} {what}")
