"""`weftmesh cert`: what nodes prove themselves with, and who is no longer believed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from weftmesh.cli.cert_text import show_certificates, show_one
from weftmesh.cli.commands.cert_rotate import rotate_ca
from weftmesh.cli.encoding import to_json
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.session import Session
from weftmesh.cli.text import time_text
from weftmesh.core.errors import InvalidInputError, WeftmeshError
from weftmesh.mesh.v1 import mesh_pb2, trust_pb2

if TYPE_CHECKING:
    from weftmesh.client import Client


@click.group()
def cert() -> None:
    """Certificates: who shows which, until when; revoking them; replacing the authority."""


cert.add_command(rotate_ca)


@command(cert, "show")
@click.option("--node", default="", metavar="NODE", help="Ask this member, and show its chain.")
async def show(session: Session, node: str) -> None:
    """Show every member's certificate, the authorities, and what is revoked."""
    async with session.client() as client:
        request = trust_pb2.GetCertificatesRequest(node=node)
        view = await client.trust.get_certificates(request, timeout_s=session.timeout_s)
        shown = [view.own] if node else await _all(session, client, view)
    if session.output.as_json:
        session.output.json(to_json(view) | {"members": [to_json(one) for one in shown]})
    elif node:
        show_one(session.output, view.own)
    else:
        show_certificates(session.output, view, shown)


async def _all(session: Session, client: Client, view: trust_pb2.CertificatesView) -> list[trust_pb2.ShownCertificate]:
    """What every member shows; one that does not answer, what it last said in the log."""
    listed = await client.mesh.list_members(timeout_s=session.timeout_s)
    said = {one.node: one for one in view.reported}

    async def ask(node: str) -> trust_pb2.ShownCertificate:
        request = trust_pb2.GetCertificatesRequest(node=node)
        try:
            return (await client.trust.get_certificates(request, timeout_s=min(3.0, session.timeout_s))).own
        except WeftmeshError:
            return said.get(node, trust_pb2.ShownCertificate(node=node))

    return list(await asyncio.gather(*(ask(member.name) for member in listed.members)))


@command(cert, "renew")
@dry_run_option
async def renew(session: Session, dry_run: bool) -> None:
    """Renew this node's certificate now, under the key it has; nothing restarts."""
    async with session.client() as client:
        if dry_run:
            shown = (await client.trust.get_certificates(timeout_s=session.timeout_s)).own
        else:
            shown = await client.trust.renew_certificate(timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json({"certificate": to_json(shown), "dry_run": dry_run})
        return
    told = f"{shown.node} shows certificate {shown.serial} until {time_text(shown.not_after)}"
    session.output.data(told + (", and would renew it" if dry_run else ""))


@command(cert, "revoke")
@click.argument("node", required=False, default="")
@click.option("--serial", default="", metavar="S", help="This one certificate only, by its serial number.")
@click.option("--reason", default="", help="Why, for everybody who looks later.")
@click.option("--remove", is_flag=True, help="Take NODE out of the mesh as well.")
@click.option("--yes", is_flag=True, help="NODE may be the node that answers.")
@click.option("--force", is_flag=True, help="Also when the mesh loses its quorum by it, or nobody who renews is left.")
@dry_run_option
async def revoke(session: Session, node: str, serial: str, reason: str, dry_run: bool, **flags: bool) -> None:
    """Believe NODE's certificates no more, on every node at once; its connections are cut.

    It stays a member, without any say, until `members rm` or --remove. With a token made for it (`token create
    --for NODE`) it comes back under a new key, with `weftmesh join --again`.
    """
    if flags["remove"] and not node:
        raise InvalidInputError("--remove needs the name of the node")
    request = trust_pb2.RevokeCertificatesRequest(
        node=node,
        serial=serial,
        reason=reason,
        validate_only=dry_run,
        own=flags["yes"],
        force=flags["force"] or flags["remove"],
    )
    async with session.client() as client:
        if flags["remove"]:
            # Before the revocation: the votes that are left have to suffice for it.
            await _remove(session, client, request)
        answer = await client.trust.revoke_certificates(request, timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json(to_json(answer) | {"removed": flags["remove"], "dry_run": dry_run})
        return
    what = f"certificate {answer.serial}" + (f" of {answer.node}" if answer.node else "")
    what = what if answer.serial else f"every certificate of {answer.node}"
    was = "would be" if dry_run else "is" if answer.changed else "was already"
    session.output.data(f"{what} {was} revoked" + (f", and {node} removed" if flags["remove"] else ""))


async def _remove(session: Session, client: Client, request: trust_pb2.RevokeCertificatesRequest) -> None:
    """Take the node out of the mesh, unless its revocation would be refused then."""
    would_be = trust_pb2.RevokeCertificatesRequest()
    would_be.CopyFrom(request)
    would_be.validate_only = True
    await client.trust.revoke_certificates(would_be, timeout_s=session.timeout_s)
    removal = mesh_pb2.RemoveMemberRequest(name=request.node, validate_only=request.validate_only)
    await client.mesh.remove_member(removal, timeout_s=session.timeout_s)


@command(cert, "readmit")
@click.option(
    "--certificate",
    "path",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The new certificate, PEM.",
)
@dry_run_option
async def readmit(session: Session, path: Path, dry_run: bool) -> None:
    """Believe a revoked node again by a certificate that was issued elsewhere, for another key than before.

    For [tls] mode = "files". Where the mesh has its own authority, a token made for the node does this.
    """
    from weftmesh.runtime.identity.certificates import load_certificate, to_der

    certificate_der = to_der(load_certificate(path.read_bytes(), what=str(path)))  # noqa: ASYNC240, nothing else runs
    request = trust_pb2.ReadmitCertificateRequest(certificate_der=certificate_der, validate_only=dry_run)
    async with session.client() as client:
        answer = await client.trust.readmit_certificate(request, timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json(to_json(answer) | {"dry_run": dry_run})
        return
    was = "would be" if dry_run else "is"
    told = f"{answer.node} {was} believed again with key {answer.key_sha256[:16]}..."
    session.output.data(told if answer.changed else f"{answer.node} is not revoked, or has this key already")
