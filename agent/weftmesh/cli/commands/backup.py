"""`weftmesh backup`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from weftmesh.cli.options import command, json_option
from weftmesh.cli.session import Session
from weftmesh.cli.tables import Column
from weftmesh.cli.text import size_text

if TYPE_CHECKING:
    from weftmesh.cli.output import Output
    from weftmesh.mesh.v1 import backup_pb2

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
BOARD_COLUMNS: Final = (
    Column("HOME"),
    Column("TASKS", right=True),
    Column("PROJECTS", right=True),
    Column("REVISION", right=True),
    Column("BOARD HASH"),
)


@click.group(invoke_without_command=True)
@click.option("--to", "path", type=_FILE, help="The backup file to make.")
@click.option("--recipient", "recipients", multiple=True, metavar="KEY", help="age1...; may be repeated.")
@click.option("--local", "include_local", is_flag=True, help="The projects that live on this node alone, too.")
@click.option("--verify-with", type=_FILE, metavar="IDENTITY", help="Restore it for a try before it counts.")
@json_option
@click.pass_context
def backup(context: click.Context, /, **options: Any) -> None:
    """Back up the replicated board to a file that only the recipients' keys open.

    One consistent picture of everything that was acknowledged before the command, streamed from this node while it
    works on. The file appears when it is complete and on disk. Keys, certificates and join tokens are not in it.
    """
    if context.invoked_subcommand is None:
        context.invoke(_take, **options)


@command(None, "backup")
async def _take(
    session: Session, path: Path | None, recipients: tuple[str, ...], include_local: bool, verify_with: Path | None
) -> None:
    from weftmesh.client.backup.sealing import load_identity, parse_recipients
    from weftmesh.client.backup.taking import take_backup

    if path is None or not recipients:
        raise click.UsageError("say where to and for whom: weftmesh backup --to FILE --recipient KEY")
    identity = None if verify_with is None else load_identity(verify_with)
    keys = parse_recipients(recipients)
    async with session.client() as client:
        taken = await take_backup(client, path, keys, include_local=include_local, verify_with=identity)
    if session.output.as_json:
        facts = {"file": str(taken.path), "size_bytes": taken.size_bytes, "verified": taken.verified}
        session.output.json(facts | opening_json(taken.opening))
        return
    show_opening(session.output, taken.opening)
    verified = "restored for a try: the state is the same" if taken.verified else "not verified: see backup verify"
    session.output.data(f"{taken.path}: {size_text(taken.size_bytes)}, {verified}")


@command(backup, "keygen")
@click.option("--to", "path", type=_FILE, required=True, help="The identity file to make, for your eyes only.")
def keygen(session: Session, path: Path) -> None:
    """Make a private key for backups, and print the recipient that belongs to it.

    Keep the file away from the nodes: who has it can read every backup made for it, and without it nobody can.
    """
    from weftmesh.client.backup.sealing import make_identity

    recipient = make_identity(path)
    if session.output.as_json:
        session.output.json({"file": str(path), "recipient": recipient})
    else:
        session.output.data(recipient)


@command(backup, "verify")
@click.argument("path", type=_FILE, metavar="FILE")
@click.option("--identity", type=_FILE, required=True, help="The private key of one of its recipients.")
def verify(session: Session, path: Path, identity: Path) -> None:
    """Restore FILE for a try, in a private temporary directory, and compare what comes back with what the node had."""
    from weftmesh.client.backup.opening import open_backup
    from weftmesh.client.backup.sealing import load_identity

    with open_backup(path, load_identity(identity)) as opened:
        opening = opened.opening
    if session.output.as_json:
        session.output.json({"file": str(path), "verified": True} | opening_json(opening))
        return
    show_opening(session.output, opening)
    session.output.data(f"{path}: whole; every board comes back with the state it had")


def opening_json(opening: backup_pb2.BackupOpening) -> dict[str, Any]:
    """What a backup says of itself."""
    from weftmesh.cli.encoding import to_json

    return to_json(opening)


def show_opening(output: Output, opening: backup_pb2.BackupOpening) -> None:
    """Print where and when a backup was taken and what is in it."""
    from weftmesh.cli.text import time_text

    output.note(f"{opening.cluster}, taken on {opening.node} at {time_text(opening.create_time)}")
    show_boards(output, list(opening.boards))


def show_boards(output: Output, boards: list[backup_pb2.BackupBoard]) -> None:
    """Print boards, a line each."""
    rows = [[one.home, str(one.tasks), str(one.projects), str(one.revision), one.state_hash] for one in boards]
    output.table(BOARD_COLUMNS, rows)
