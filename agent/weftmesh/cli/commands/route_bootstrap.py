"""`weftmesh route bootstrap`: what a gRPC client or Envoy needs to follow this node's tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from weftmesh.cli.options import command
from weftmesh.cli.output import JSON_INDENT
from weftmesh.cli.session import Session
from weftmesh.core.errors import InvalidInputError

if TYPE_CHECKING:
    from weftmesh.client.xds_bootstrap import Router


@command(None, "bootstrap")
@click.argument("service")
@click.option("--grpc", "form", flag_value="grpc", help="For gRPC clients: the file that GRPC_XDS_BOOTSTRAP names.")
@click.option("--envoy", "form", flag_value="envoy", help="For Envoy: a whole configuration.")
@click.option("--listen", metavar="HOST:PORT", help="Where Envoy takes requests.  [default: 127.0.0.1:10000]")
@click.option("--delta", is_flag=True, help="Envoy is told changes only, instead of all there is.")
@click.option("--xds-socket", type=click.Path(path_type=Path), help="The router's xDS socket.  [default: in run_dir]")
@click.option("--router", "address", metavar="HOST:PORT", help="A router elsewhere, under mutual TLS.")
@click.option("--node", metavar="NAME", help="The name of the node whose router that is.  [default: this node's]")
@click.option("--id", "client_id", metavar="NAME", help="What the router calls the client.  [default: NODE-SERVICE]")
def bootstrap(
    session: Session,
    service: str,
    form: str | None,
    listen: str | None,
    delta: bool,
    xds_socket: Path | None,
    address: str | None,
    node: str | None,
    client_id: str | None,
) -> None:
    """Print how a client of SERVICE follows this node's table, with no code in it.

    \b
    weftmesh route bootstrap --grpc payments > /etc/payments.json
    GRPC_XDS_BOOTSTRAP=/etc/payments.json your-client xds:///payments
    weftmesh route bootstrap --envoy payments > envoy.json && envoy -c envoy.json
    """  # noqa: D301, click's mark for lines that stay as they are
    from weftmesh.client.xds_bootstrap import envoy_bootstrap, grpc_bootstrap

    if form is None:
        raise click.UsageError("say for whom: --grpc or --envoy")
    if form == "grpc" and (listen is not None or delta):
        raise click.UsageError("--listen and --delta are for Envoy")
    if address is not None and xds_socket is not None:
        raise click.UsageError("--router and --xds-socket name two routers; give one of them")
    router = _local(session, xds_socket) if address is None else _remote(session, address, node)
    name = client_id or f"{session.config().node.name}-{service}"
    if form == "grpc":
        document = grpc_bootstrap(router, name)
    else:
        document = envoy_bootstrap(router, service, name, listen or "127.0.0.1:10000", incremental=delta)
    click.echo(json.dumps(document, indent=JSON_INDENT))
    _explain(session, router, form, service)


def _local(session: Session, xds_socket: Path | None) -> Router:
    from weftmesh.client.xds_bootstrap import XDS_SOCKET_NAME, LocalRouter

    beside = Path(session.target().removeprefix("unix:")).with_name(XDS_SOCKET_NAME)
    return LocalRouter((xds_socket or beside).absolute())


def _remote(session: Session, address: str, node: str | None) -> Router:
    """The identity of this node proves who the client is; whoever runs the client has to be able to read it."""
    from weftmesh.client.xds_bootstrap import RemoteRouter
    from weftmesh.runtime.addresses import split_address
    from weftmesh.runtime.identity.store import IdentityStore

    if not split_address(address)[1]:
        raise InvalidInputError(f"--router {address}: name the port that the router listens on")
    settings = session.config().node
    directory = (settings.data_dir / "identity").absolute()
    material = IdentityStore(directory).load()
    return RemoteRouter(address, node or material.node, material.cluster, directory)


def _explain(session: Session, router: Router, form: str, service: str) -> None:
    from weftmesh.client.xds_bootstrap import RemoteRouter

    if form == "envoy":
        return
    session.output.note(f"Put this into a file, name it in GRPC_XDS_BOOTSTRAP, and dial xds:///{service}.")
    if isinstance(router, RemoteRouter):
        session.output.note(f"{router.name} has to resolve where the client runs, for instance by /etc/hosts.")
