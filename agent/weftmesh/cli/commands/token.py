"""`weftmesh token`."""

from __future__ import annotations

from datetime import timedelta

import click

from weftmesh.cli.durations import parse_duration
from weftmesh.cli.encoding import to_json
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.cli.text import time_text
from weftmesh.mesh.v1 import mesh_pb2


@click.group()
def token() -> None:
    """Join tokens: each lets one node in, once, for a while."""


@command(token, "create")
@click.option("--ttl", callback=parse_duration, help="How long it lives, such as 30m, 2h or 1d.  [default: 30m]")
@click.option("--for", "node_name", default="", metavar="NODE", help="Only a node of this name may use it.")
@dry_run_option
async def create(session: Session, ttl: timedelta | None, node_name: str, dry_run: bool) -> None:
    """Print a line to paste on a new node. It is shown once."""
    request = mesh_pb2.CreateJoinTokenRequest(node_name=node_name, validate_only=dry_run)
    if ttl is not None:
        request.ttl.FromTimedelta(ttl)
    async with session.client() as client:
        made = await client.mesh.create_join_token(request, timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json({"token": to_json(made), "dry_run": dry_run})
        return
    if made.join_command:
        session.output.data(made.join_command)
    until = time_text(made.expire_time)
    if made.join_command and "wmj1." not in made.join_command:
        session.output.note(f"{made.node_name} may join until {until}, by the certificate that its files hold")
        return
    session.output.note(f"good for one node until {until}; whoever has this line can join")


@command(token, "ls")
async def ls(session: Session) -> None:
    """List live tokens, without their secrets."""
    async with session.client() as client:
        listed = await client.mesh.list_join_tokens(timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json({"tokens": [to_json(each) for each in listed.tokens]})
        return
    columns = [Column("TOKEN"), Column("STATE"), Column("EXPIRES"), Column("FOR"), Column("USED BY")]
    rows = [
        [each.token_id, each.state, time_text(each.expire_time), each.node_name, each.used_by] for each in listed.tokens
    ]
    session.output.table(columns, rows)


@command(token, "revoke")
@click.argument("token_id", metavar="TOKEN")
@dry_run_option
async def revoke(session: Session, token_id: str, dry_run: bool) -> None:
    """Make TOKEN useless at once."""
    async with session.client() as client:
        request = mesh_pb2.RevokeJoinTokenRequest(token_id=token_id, validate_only=dry_run)
        revoked = await client.mesh.revoke_join_token(request, timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json({"token": to_json(revoked), "dry_run": dry_run})
    else:
        session.output.data(f"{revoked.token_id} {'would be' if dry_run else 'was'} revoked")
