"""The `weftmesh` command: its global options and the list of its commands."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from click.core import ParameterSource

from weftmesh.cli.lazy import Lazy, LazyGroup
from weftmesh.cli.session import DEFAULT_TIMEOUT_S, Session

COMMANDS: Final = {
    "init": Lazy("weftmesh.cli.commands.membership:init", "Found a mesh on this node."),
    "join": Lazy("weftmesh.cli.commands.membership:join", "Enrol this node in a mesh."),
    "leave": Lazy("weftmesh.cli.commands.membership:leave", "Take this node out of its mesh."),
    "status": Lazy("weftmesh.cli.commands.status:status", "How this node is doing."),
    "members": Lazy("weftmesh.cli.commands.members:members", "Who belongs to the mesh."),
    "token": Lazy("weftmesh.cli.commands.token:token", "Join tokens."),
    "cert": Lazy("weftmesh.cli.commands.cert:cert", "Certificates, revocation, and the authority."),
    "project": Lazy("weftmesh.cli.commands.project:project", "Projects."),
    "task": Lazy("weftmesh.cli.commands.task:task", "Tasks."),
    "forecast": Lazy("weftmesh.cli.commands.forecast:forecast", "What a task will take, and when it will be done."),
    "learn": Lazy("weftmesh.cli.commands.learn:learn", "Models that nodes learn together."),
    "ola": Lazy("weftmesh.cli.commands.ola:ola", "What teams owe each other."),
    "route": Lazy("weftmesh.cli.commands.route:route", "Where requests go, and why."),
    "lanes": Lazy("weftmesh.cli.commands.lanes:lanes", "How long the router's work waits for its turn."),
    "pending": Lazy("weftmesh.cli.commands.pending:pending", "Writes that wait on this node for a quorum."),
    "import": Lazy("weftmesh.cli.commands.exchange:import_", "Bring tasks in from another tracker."),
    "mirror": Lazy("weftmesh.cli.commands.mirror:mirror", "Keep a copy of another tracker fresh."),
    "export": Lazy("weftmesh.cli.commands.export:export", "Write tasks to a file."),
    "verify": Lazy("weftmesh.cli.commands.verify:verify", "Check that nothing acknowledged was lost."),
    "access": Lazy("weftmesh.cli.commands.access:access", "Who may do what."),
    "audit": Lazy("weftmesh.cli.commands.audit:audit", "Who did what on this node."),
    "controls": Lazy("weftmesh.cli.commands.controls:controls", "Security controls, and the evidence for each."),
    "privacy": Lazy("weftmesh.cli.commands.privacy:privacy", "What left this node."),
    "backup": Lazy("weftmesh.cli.commands.backup:backup", "Back up the board, encrypted."),
    "restore": Lazy("weftmesh.cli.commands.restore:restore", "Put a backup onto a fresh node."),
    "recover-quorum": Lazy("weftmesh.cli.commands.recover:recover_quorum", "Go on alone when the others are gone."),
    "dev": Lazy("weftmesh.cli.commands.dev:dev", "A whole mesh on this machine, to try things."),
    "bench": Lazy("weftmesh.cli.commands.bench:bench", "Measure a mesh."),
    "doctor": Lazy("weftmesh.cli.commands.doctor:doctor", "What is wrong with this node, and what mends it."),
    "upgrade": Lazy("weftmesh.cli.commands.upgrade:upgrade", "Upgrade the nodes one at a time."),
    "config": Lazy("weftmesh.cli.commands.config:config", "The configuration in force."),
    "purge": Lazy("weftmesh.cli.commands.purge:purge", "Erase what this node keeps."),
    "version": Lazy("weftmesh.cli.commands.version:version", "Which version this is."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="WEFTMESH_CONFIG",
    help="The configuration file.  [default: /etc/weftmesh/weftmesh.toml]",
)
@click.option("--socket", envvar="WEFTMESH_SOCKET", help="The node's local socket.  [default: from the configuration]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, errors too.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but data and errors.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.1, max=3600),
    default=DEFAULT_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long a call may take, retries included.",
)
@click.pass_context
def cli(
    context: click.Context, config_path: Path | None, socket: str | None, as_json: bool, quiet: bool, timeout_s: float
) -> None:
    """A task board that is replicated between your own machines.

    A task is named by its key (PROJ-12), its id, or the first characters of its id.

    \b
    Exit status: 0 done, 1 error, 2 wrong usage, 3 node unreachable, 4 no quorum,
    5 conflict, 6 forbidden, 7 not found, 8 queued on this node until there is a quorum;
    of doctor and upgrade 10 warnings, 11 failures, 12 a check could not run.
    """  # noqa: D301, click's mark for lines that stay as they are
    session = context.ensure_object(Session)
    session.config_path = config_path and config_path.absolute()
    # What was typed is meant: a node named by its file is not the one that the environment happens to name.
    named = context.get_parameter_source("config_path") is ParameterSource.COMMANDLINE
    by_chance = context.get_parameter_source("socket") is ParameterSource.ENVIRONMENT
    session.socket = None if named and by_chance else socket
    session.timeout_s = timeout_s
    session.output.configure(as_json=as_json or session.output.as_json, quiet=quiet)
