"""`weftmesh cert rotate-ca`: replacing the authority, a phase at a time."""

from __future__ import annotations

import click

from weftmesh.cli.cert_text import show_rotation
from weftmesh.cli.encoding import to_json
from weftmesh.cli.options import dry_run_option, json_option
from weftmesh.cli.session import Session
from weftmesh.core.errors import InvalidInputError
from weftmesh.mesh.v1 import trust_pb2

STEPS = ("begin", "issue", "finish", "abandon")


@click.command("rotate-ca")
@json_option
@click.argument("step", required=False, type=click.Choice(STEPS))
@click.option("--force", "force_nodes", multiple=True, metavar="NODE", help="With finish: cut this member off.")
@dry_run_option
@click.pass_context
def rotate_ca(context: click.Context, step: str | None, force_nodes: tuple[str, ...], dry_run: bool) -> None:
    """Replace the mesh's authority while everything runs: begin, issue, finish.

    Without a step, or with --dry-run, this shows where the rotation stands, what each step does, and what stands in
    its way. Each step may be repeated. abandon gives up a rotation that has only begun.
    """
    if force_nodes and step != "finish":
        raise InvalidInputError("--force NODE goes with `finish` alone")
    session = context.ensure_object(Session)
    session.run(_rotate(session, step, force_nodes, dry_run))


async def _rotate(session: Session, step: str | None, force_nodes: tuple[str, ...], dry_run: bool) -> None:
    name = f"ROTATION_STEP_{(step or 'unspecified').upper()}"
    request = trust_pb2.RotateAuthorityRequest(step=name, validate_only=dry_run, force_nodes=force_nodes)
    async with session.client() as client:
        view = await client.trust.rotate_authority(request, timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json(to_json(view) | {"step": step or "", "dry_run": dry_run})
        return
    if step:
        session.output.note(f"{step}: {'would be done' if dry_run else 'done'}")
    show_rotation(session.output, view, over=step in ("finish", "abandon") and not dry_run)
