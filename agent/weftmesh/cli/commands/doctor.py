"""`weftmesh doctor`."""

from __future__ import annotations

import os
import time
from typing import Final

from weftmesh.cli.exit_codes import ExitCode
from weftmesh.cli.options import command
from weftmesh.cli.session import Session

GRPC_VERBOSITY: Final = "GRPC_VERBOSITY"


@command(None, "doctor")
async def doctor(session: Session) -> ExitCode:
    """Check this node and its surroundings: what is wrong, what was measured, and the command that mends it.

    Changes nothing. Works while the node is down, and whoever runs it as root sees most. Each check has its own time,
    and they run side by side. Exit status: 0 fine, 10 warnings, 11 failures, 12 a check could not run.
    """
    # What gRPC says of calls that fail is in the findings, in words.
    os.environ.setdefault(GRPC_VERBOSITY, "NONE")
    from weftmesh.cli.doctor.checkup import examine
    from weftmesh.cli.doctor.findings import exit_code_of
    from weftmesh.cli.doctor.report import show, to_json

    session.follow_socket()
    begun_s = time.monotonic()
    findings = await examine(session.config_path, session.config_file, session.socket)
    duration_s = time.monotonic() - begun_s
    if session.output.as_json:
        session.output.json(to_json(findings, duration_s))
    else:
        show(session.output, findings, duration_s)
    return exit_code_of(findings)
