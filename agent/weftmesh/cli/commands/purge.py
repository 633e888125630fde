"""`weftmesh purge`."""

from __future__ import annotations

import fcntl
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from weftmesh.cli.options import command, dry_run_option
from weftmesh.cli.session import SOCKET_NAME, Session
from weftmesh.core.errors import DataCorruptionError, ForbiddenError, InvalidInputError, PreconditionError
from weftmesh.runtime.config import Config
from weftmesh.runtime.identity.founding import NodeRecord

LEARNER: Final = "learner"
"""Keeps its state in DATA-NAME, since it may not read the node's."""
BACKUPS: Final = "backup"
LOCK: Final = Path("mesh/wal/lock")
"""Held by a node from its first moment, while it listens only once it has read its log."""


@command(None, "purge")
@click.option("--yes-erase", "confirmed", metavar="NODE", help="The node's name, instead of being asked for it.")
@dry_run_option
def purge(session: Session, confirmed: str | None, dry_run: bool) -> None:
    """Erase what this node keeps: its board, keys, certificates and configuration.

    For a machine that is no longer to be a node: take it out of its mesh first (weftmesh leave), stop it, purge it,
    remove the package. Refused while the node runs. Backups that were taken here are kept and named.
    """
    config = session.config()
    stop = session.node_commands().disable
    _refuse_while_running(config.node.run_dir / SOCKET_NAME, stop)
    _refuse_while_open(config.node.data_dir / LOCK, stop)
    doomed = [path for path in _doomed(config, session.config_file) if path.exists() or path.is_symlink()]
    kept = [path for path in [_beside(config.node.data_dir, BACKUPS)] if path.exists()]
    if not dry_run and doomed:
        _check_name(_name(config), confirmed)
        for path in doomed:
            _remove(path)
    if session.output.as_json:
        rows = {"removed": [str(path) for path in doomed], "kept": [str(path) for path in kept]}
        session.output.json(rows | {"dry_run": dry_run})
        return
    for path in doomed:
        session.output.data(f"{path} {'would be' if dry_run else 'was'} removed")
    for path in kept:
        session.output.note(f"{path} is kept: there are backups in it")


def _name(config: Config) -> str:
    """Which node this is: by its record, since a name that nobody set follows the host's."""
    try:
        return NodeRecord.load(config.node.data_dir).node
    except (PreconditionError, DataCorruptionError):
        return config.node.name


def _doomed(config: Config, config_file: Path) -> Iterator[Path]:
    data_dir = config.node.data_dir
    if data_dir.is_dir():
        yield from sorted(data_dir.iterdir())  # the directory itself is the package's
    yield _beside(data_dir, LEARNER)
    yield from sorted((config_file.parent / "conf.d").glob("*.toml"))
    names = (config_file.name, f"{config_file.name}.rpmsave", f"{config_file.name}.rpmnew", "backup.env")
    yield from (config_file.with_name(name) for name in names)


def _beside(data_dir: Path, name: str) -> Path:
    return data_dir.with_name(f"{data_dir.name}-{name}")


def _refuse_while_running(path: Path, stop: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return
        except PermissionError as error:
            raise ForbiddenError(f"you may not open {path}, nor erase what the node keeps; run this as root") from error
    raise PreconditionError(f"the node runs, it listens on {path}; stop it first: {stop}", reason="NODE_RUNS")


def _refuse_while_open(path: Path, stop: str) -> None:
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return
    except BlockingIOError as error:
        why = f"the node is starting or stopping, it holds {path}; stop it first: {stop}"
        raise PreconditionError(why, reason="NODE_RUNS") from error


def _check_name(node: str, confirmed: str | None) -> None:
    answer = confirmed or click.prompt(f"To erase all of this, type the name of the node ({node})").strip()
    if answer != node:
        raise InvalidInputError(f"this is node {node}, not {answer}; nothing was removed")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
