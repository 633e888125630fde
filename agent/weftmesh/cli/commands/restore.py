"""`weftmesh restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from weftmesh.cli.commands.backup import show_boards
from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.session import Session

_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@command(None, "restore")
@click.argument("path", type=_FILE, metavar="FILE")
@click.option("--identity", type=_FILE, required=True, help="The private key of one of its recipients.")
@click.option("--without-local", is_flag=True, help="Leave out the projects that lived on one node alone.")
@dry_run_option
def restore(session: Session, path: Path, identity: Path, without_local: bool, dry_run: bool) -> None:
    """Put the backup FILE onto this node, which has founded a new mesh (`weftmesh init`) and has not run yet.

    The backup is verified first. The node starts with its state under the new mesh's name, as the only voter; other
    nodes join as usual and get the state from it.
    """
    from weftmesh.cli.encoding import to_json
    from weftmesh.client.backup.opening import open_backup
    from weftmesh.client.backup.restoring import check_fresh, chosen_places, restore_backup
    from weftmesh.client.backup.sealing import load_identity

    data_dir = session.config().node.data_dir
    record = check_fresh(data_dir)
    with open_backup(path, load_identity(identity), scratch=data_dir) as backup:
        places = chosen_places(backup, data_dir, with_local=not without_local)
        if not dry_run:
            restore_backup(places, record)
    boards = [place.board for place in places]
    if session.output.as_json:
        found = {"cluster": record.cluster, "node": record.node, "boards": [to_json(board) for board in boards]}
        session.output.json({"file": str(path), "dry_run": dry_run} | found)
        return
    show_boards(session.output, boards)
    session.output.data(f"{path} {'would be' if dry_run else 'was'} restored onto {record.node} of {record.cluster}")
    if not dry_run:
        commands = session.node_commands()
        session.output.note(f"next: {commands.enable}; then compare: {commands.weftmesh('status')}")
