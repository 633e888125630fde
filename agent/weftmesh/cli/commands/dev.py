"""`weftmesh dev`."""

from __future__ import annotations

import asyncio
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from weftmesh.cli.dev_mesh import DevMesh
from weftmesh.cli.encoding import enum_word
from weftmesh.cli.options import command
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.core.errors import NodeUnreachableError, PreconditionError
from weftmesh.mesh.v1 import mesh_pb2

STATUS_TIMEOUT_S = 2.0
LEARNING_NEEDS = ("flwr", "numpy")
"""The extra `learner`: what nodes need to train and to lead a round, and a board does not."""
_DIRECTORY = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Where the mesh is kept.",
)


@click.group()
def dev() -> None:
    """A whole mesh on this machine, on loopback, to try things: real processes, real certificates."""


@command(dev, "up")
@_DIRECTORY
@click.option("--nodes", type=click.IntRange(1, 15), help="How many, for a new mesh.  [default: 3]")
@click.option("--detach", is_flag=True, help="Return and leave it running; else it ends with this command.")
@click.option("--no-fsync", is_flag=True, help="Acknowledge before the disk has it: faster, and less than the promise.")
@click.option("--no-learning", is_flag=True, help="Without coordinators and learners: nobody trains.")
@click.option("--routers", is_flag=True, help="A router beside each node: it probes, decides and answers.")
async def up(
    session: Session, directory: Path, nodes: int | None, detach: bool, no_fsync: bool, no_learning: bool, routers: bool
) -> None:
    """Make a mesh in --dir, or start the one that is there.

    Of nodes that run, nothing is changed but for a router that is added.
    """
    if DevMesh.exists(directory):
        _refuse_what_is_settled(DevMesh.load(directory), no_fsync=no_fsync, no_learning=no_learning)
    missing = [name for name in LEARNING_NEEDS if find_spec(name) is None]
    learning = not missing and not no_learning
    mesh = DevMesh(directory, fsync=not no_fsync, learners=learning, coordinators=learning, routers=routers)
    try:
        session.output.note(f"starting {directory} …")
        await mesh.up(nodes)
        await _show(session, mesh)
        if missing and not no_learning:
            session.output.note(
                f"learning is off: {' and '.join(missing)} not installed; stop the mesh, install weftmesh[learner] (in "
                "a checkout: make learner), and start it again"
            )
        if not detach:
            session.output.note("Ctrl-C stops it")
            await _until_stopped()
    except BaseException:
        # Whatever ends this command before the mesh is handed over must not leave processes behind.
        await mesh.down()
        raise
    if not detach:
        await mesh.down()


def _refuse_what_is_settled(mesh: DevMesh, *, no_fsync: bool, no_learning: bool) -> None:
    """Say no to what would be passed over in silence.

    Raises:
        PreconditionError: an option that the mesh that is there cannot take any more.
    """
    if no_fsync and mesh.fsync:
        raise PreconditionError(f"the mesh in {mesh.directory} was made with fsync; --no-fsync is for a new one")
    learning = [name for name, node in mesh.nodes.items() if node.running and (node.learner or node.coordinator)]
    if no_learning and learning:
        raise PreconditionError(
            f"{', '.join(learning)} run with learning; stop them first: weftmesh dev down --dir {mesh.directory}"
        )


async def _until_stopped() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


@command(dev, "down")
@_DIRECTORY
@click.option("--wipe", is_flag=True, help="Remove what the nodes stored, too.")
async def down(session: Session, directory: Path, wipe: bool) -> None:
    """Stop the mesh in --dir; its data stays."""
    mesh = DevMesh.load(directory)
    await mesh.down(wipe=wipe)
    if session.output.as_json:
        session.output.json({"directory": str(mesh.directory), "stopped": list(mesh.nodes), "wiped": wipe})
    else:
        session.output.note(f"{len(mesh.nodes)} nodes stopped" + (", their data removed" if wipe else ""))


@command(dev, "status")
@_DIRECTORY
async def status(session: Session, directory: Path) -> None:
    """Show how the nodes of the mesh in --dir are doing."""
    await _show(session, DevMesh.load(directory))


async def _show(session: Session, mesh: DevMesh) -> None:
    found = {name: await _status(mesh, name) for name in mesh.nodes}
    if session.output.as_json:
        rows = [node.to_json() | _state(found[name]) for name, node in mesh.nodes.items()]
        session.output.json(mesh.to_json() | {"nodes": rows})
        return
    rows_shown = []
    for name, node in mesh.nodes.items():
        state = _state(found[name])
        rows_shown.append(
            [name, state["role"], str(node.pid if node.running else ""), str(state["revision"]), str(node.socket)]
        )
    columns = [Column("NODE"), Column("ROLE"), Column("PID"), Column("REVISION", right=True), Column("SOCKET")]
    session.output.table(columns, rows_shown)
    session.output.note(f"try: weftmesh --socket {mesh.first.socket} status")


async def _status(mesh: DevMesh, name: str) -> mesh_pb2.NodeStatus | None:
    node = mesh.node(name)
    if not node.running:
        return None
    try:
        async with node.client(timeout_s=STATUS_TIMEOUT_S) as client:
            return await client.mesh.get_status(timeout_s=STATUS_TIMEOUT_S)
    except NodeUnreachableError:
        return None


def _state(status: mesh_pb2.NodeStatus | None) -> dict[str, Any]:
    if status is None:
        return {"running": False, "role": "down", "revision": 0}
    role = enum_word(mesh_pb2.Role.DESCRIPTOR, status.role)
    return {"running": True, "role": role, "revision": status.revision}
