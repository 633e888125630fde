"""`weftmesh init`, `join` and `leave`."""

from __future__ import annotations

import grp
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.session import Session

if TYPE_CHECKING:
    from weftmesh.mesh.v1 import mesh_pb2
    from weftmesh.runtime.config import Config
    from weftmesh.runtime.identity.founding import NodeRecord

C = TypeVar("C", bound=Callable[..., Any])


def _node_options(function: C) -> C:
    """What a node has to know about itself before it starts."""
    options = (
        click.option("--name", help="This node's name.  [default: this host's]"),
        click.option("--listen", metavar="HOST:PORT", help="Where the mesh port listens.  [default: 0.0.0.0:7450]"),
        click.option("--advertise", metavar="HOST:PORT", help="Where others reach it.  [default: this host's name]"),
        click.option("--enroll", metavar="HOST:PORT", help="Where new nodes enrol.  [default: 0.0.0.0:7451]"),
        click.option("--data-dir", type=click.Path(path_type=Path), help="[default: /var/lib/weftmesh]"),
        click.option("--run-dir", type=click.Path(path_type=Path), help="[default: /run/weftmesh]"),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _settled(session: Session, options: dict[str, Any], dry_run: bool, *, again: bool = False) -> tuple[Config, bool]:
    """The configuration, and whether it was written.

    Raises:
        AlreadyExistsError: the data directory belongs to a node already.
    """
    from weftmesh.cli.config_file import settle
    from weftmesh.core.errors import AlreadyExistsError

    wanted = {
        ("node", "name"): options["name"],
        ("node", "data_dir"): options["data_dir"] and str(options["data_dir"].absolute()),
        ("node", "run_dir"): options["run_dir"] and str(options["run_dir"].absolute()),
        ("mesh", "listen"): options["listen"],
        ("mesh", "advertise"): options["advertise"],
        ("mesh", "enroll_listen"): options["enroll"],
    }
    given = {where: value for where, value in wanted.items() if value is not None}
    config, absent = settle(session.config_file, given, dry_run=dry_run)
    if dry_run and not again and (config.node.data_dir / "node.json").exists():
        raise AlreadyExistsError(f"{config.node.data_dir} belongs to a node already", reason="ALREADY_A_NODE")
    return config, absent and not dry_run


def _refuse_while_running(session: Session, config: Config) -> None:
    """A daemon that runs would go on with the key that is about to be replaced.

    Raises:
        PreconditionError: it runs.
    """
    from weftmesh.client.target import SOCKET_NAME, somebody_listens
    from weftmesh.core.errors import PreconditionError

    path = config.node.run_dir / SOCKET_NAME
    if somebody_listens(str(path)):
        raise PreconditionError(
            f"the node runs, it listens on {path}; nothing was changed. Stop it first: {session.node_commands().stop}",
            reason="NODE_RUNS",
        )


def _show(session: Session, record: NodeRecord, group: str, written: bool, what: str, dry_run: bool) -> None:
    config = str(session.config_file)
    if session.output.as_json:
        node = {"cluster": record.cluster, "node": record.node, "address": record.address}
        session.output.json({**node, "config": config, "config_written": written, "dry_run": dry_run})
        return
    would = "would have " if dry_run else ""
    session.output.data(f"{record.node} {would}{what} {record.cluster}, reached at {record.address}")
    if dry_run:
        return
    session.output.note(f"configuration: {config}" + (" (new)" if written else ""))
    if not _is_group(group):
        session.output.note(f"first: groupadd --system {group}; the node gives it its local socket, and starts with it")
    commands = session.node_commands()
    session.output.note(f"next: {commands.enable}; then: {commands.weftmesh('status')}")


def _is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


@command(None, "init")
@click.option("--cluster", required=True, help="The mesh's name: a-z, 0-9 and -.")
@_node_options
@dry_run_option
def init(session: Session, cluster: str, dry_run: bool, **options: Any) -> None:
    """Found a mesh with this node as its first.

    Makes the mesh's certificate authority and writes the configuration file if there is none. What a file that is
    there leaves open goes to conf.d/10-node.toml beside it.
    """
    from weftmesh.runtime.identity.founding import NodeRecord, found_cluster
    from weftmesh.runtime.names import check_name

    check_name(cluster, what="the cluster")
    config, written = _settled(session, options, dry_run)
    if dry_run:
        record = NodeRecord(cluster, config.node.name, config.mesh.advertise, founding=True)
    else:
        record = found_cluster(config, cluster, config.node.name, config.mesh.advertise)
    _show(session, record, config.mesh.group, written, "founded the mesh", dry_run)
    if not dry_run:
        session.output.note(f"then let others in: {session.node_commands().weftmesh('token create')}")


@command(None, "join")
@click.argument("line", nargs=-1, required=True, metavar="LINE...")
@click.option("--observer", is_flag=True, help="Get and serve the board without a vote, for good.")
@click.option("--again", is_flag=True, help="This node is a member and has its data: only give it a new key.")
@_node_options
@dry_run_option
async def join(
    session: Session, line: tuple[str, ...], observer: bool, again: bool, dry_run: bool, **options: Any
) -> None:
    """Enrol this node with LINE, the line that `weftmesh token create` printed on a member.

    It gets the log as an observer first, and votes once it has caught up. The node's key is made here and stays here.
    The line's fingerprint is compared before anything is sent. --dry-run checks the line's form and the configuration;
    it calls nobody.

    --again is for a member whose certificate was revoked, or that was away while the authority was replaced: with a
    line made for its name it gets a new key, and keeps its data. Stop its daemon first, and start it after.
    """
    from weftmesh.runtime.identity.enrolling import Seed
    from weftmesh.runtime.identity.founding import NodeRecord, join_cluster, join_with_files
    from weftmesh.runtime.identity.join_line import JoinLine, SeedLine

    pasted = " ".join(line)
    parsed = SeedLine.parse(pasted) or JoinLine.parse(pasted)
    config, written = _settled(session, options, dry_run, again=again)
    if again and not dry_run:
        _refuse_while_running(session, config)
    if dry_run:
        where = f"at {parsed.address}"
        record = NodeRecord(where, config.node.name, config.mesh.advertise, founding=False, observer=observer)
    elif isinstance(parsed, SeedLine):
        seed = Seed(parsed.node, parsed.address)
        record = join_with_files(config, seed, config.mesh.advertise, observer=observer)
    else:
        record = await join_cluster(
            config,
            parsed,
            config.node.name,
            config.mesh.advertise,
            observer=observer,
            again=again,
            timeout_s=session.timeout_s,
        )
    _show(session, record, config.mesh.group, written, "joined the mesh", dry_run)


def _refuse_to_lose_writes(status: mesh_pb2.NodeStatus) -> None:
    """What is in the queue of a node that has left is replayed by nobody.

    Raises:
        PreconditionError: there is something in it.
    """
    from weftmesh.core.errors import PreconditionError

    if status.queued_writes or status.failed_queued_writes:
        raise PreconditionError(
            f"{status.queued_writes} writes wait on {status.node} and {status.failed_queued_writes} were refused (see "
            "`weftmesh pending ls`); nothing was changed. Wait until they are replayed, retry or discard the refused "
            "ones, or give them up with --force",
            reason="WRITES_QUEUED",
        )


@command(None, "leave")
@click.option("--force", is_flag=True, help="Also where writes wait on this node: the mesh never gets them.")
@dry_run_option
async def leave(session: Session, force: bool, dry_run: bool) -> None:
    """Take this node out of its mesh, handing over leadership first. Its data stays on disk.

    Refused while writes wait on this node for a quorum, or were refused when they were replayed.
    """
    from weftmesh.cli.encoding import to_json
    from weftmesh.mesh.v1 import mesh_pb2

    async with session.client() as client:
        if not force:
            _refuse_to_lose_writes(await client.mesh.get_status(timeout_s=session.timeout_s))
        request = mesh_pb2.LeaveRequest(validate_only=dry_run)
        member = await client.mesh.leave(request, timeout_s=session.timeout_s)
    if session.output.as_json:
        session.output.json({"member": to_json(member), "dry_run": dry_run})
    else:
        session.output.data(f"{member.name} {'would leave' if dry_run else 'left'} the mesh")
