"""`weftmesh controls`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command
from weftmesh.cli.session import Session
from weftmesh.core.errors import ConfigError

if TYPE_CHECKING:
    from weftmesh.runtime.config import Config

STYLES: Final = {"holds": "green", "does not hold": "bold red", "cannot tell": "yellow"}


@command(None, "controls")
async def controls(session: Session) -> ExitCode:
    """Show each security control of this node with evidence that is measured now.

    A control holds, does not hold, is not in use, or nobody here can tell; root sees most. What it says is of this node
    and of this moment. Exit status: 0 if none fails, 11 if one does, 12 if none fails and some could not be looked at.
    """
    from weftmesh.cli.controls.evidence import State, Subject, worst
    from weftmesh.cli.controls.survey import look

    session.follow_socket()
    config = _config(session)
    target = session.target()
    async with session.client() as client:
        status = await client.mesh.get_status(timeout_s=session.timeout_s)
        socket = Path(target.removeprefix("unix:"))
        findings = await look(Subject(client, status, socket, config, session.config_file))
    if session.output.as_json:
        session.output.json({"node": status.node, "controls": [one.to_json() for one in findings]})
    else:
        for one in findings:
            evidence = one.evidence
            session.output.data(f"{evidence.state.value:<14} {one.control.title}", STYLES.get(evidence.state.value, ""))
            session.output.data(f"{'':<14} {evidence.value}")
            session.output.data(f"{'':<14} from: {evidence.source}")
            if evidence.command:
                session.output.data(f"{'':<14} see: {evidence.command}")
    codes = {State.FAILS: ExitCode.FAILURES, State.UNKNOWN: ExitCode.COULD_NOT_RUN}
    return codes.get(worst(findings), ExitCode.OK)


def _config(session: Session) -> Config | None:
    try:
        return session.config()
    except ConfigError as error:
        session.output.note(str(error))
        return None
