"""The whole examination: which checks there are, and what they need to be carried out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from weftmesh.cli.doctor import (
    bluetooth,
    certificates,
    clocks,
    configuration,
    credentials,
    disk,
    local_socket,
    names,
    peers,
    ports,
    quorum,
    selinux,
    versions,
)
from weftmesh.cli.doctor.available import with_what_can_run
from weftmesh.cli.doctor.check import Check, in_thread, run_all
from weftmesh.cli.doctor.findings import Finding, Severity
from weftmesh.cli.doctor.patient import Patient
from weftmesh.cli.doctor.remedies import Remedies
from weftmesh.cli.doctor.survey import take_survey
from weftmesh.cli.session import SOCKET_NAME
from weftmesh.core.errors import ConfigError
from weftmesh.runtime.config import load_config

SURVEY_DEADLINE_S: Final = 25.0
"""Its steps have their own; three rounds of them are more than any mesh has needed."""


async def examine(config_path: Path | None, config_file: Path, socket: str | None) -> list[Finding]:
    """Carry out every check.

    Args:
        config_path: as the person named it; None for the default.
        config_file: the file in force.
        socket: where the agent answers; None for the configuration's.
    """
    checks = [_blocking(configuration.CHECK, lambda: configuration.check_configuration(config_path, config_file))]
    checks += [_blocking(selinux.CHECK, selinux.check_selinux), _blocking(bluetooth.CHECK, bluetooth.check_bluetooth)]
    try:
        config = load_config(config_path, environment=os.environ)
    except ConfigError:
        needless = [Finding(name, Severity.SKIPPED, "needs a configuration that holds", "") for name in NEED_CONFIG]
        found = [*await run_all(checks), *needless]
    else:
        path = Path(socket.removeprefix("unix:")) if socket else config.node.run_dir / SOCKET_NAME
        surveying = asyncio.ensure_future(take_survey(config, path))
        patient = Patient(config, path, Remedies.of_this_machine(config_file), surveying)
        try:
            found = await run_all([*checks, *_of(patient)])
        finally:
            surveying.cancel()
            await asyncio.gather(surveying, return_exceptions=True)
    return [with_what_can_run(finding) for finding in found]


def _of(patient: Patient) -> list[Check]:
    """The checks that look at a node whose configuration is known."""
    return [
        _blocking(credentials.CHECK, lambda: credentials.check_credentials(patient)),
        Check(disk.CHECK, lambda: disk.check_disk(patient), disk.DEADLINE_S, Severity.FAILURE),
        *(Check(name, partial(check, patient), SURVEY_DEADLINE_S) for name, check in SURVEYED.items()),
    ]


def _blocking(name: str, check: Callable[[], Sequence[Finding]]) -> Check:
    return Check(name, lambda: in_thread(check))


SURVEYED: Final = {
    local_socket.CHECK: local_socket.check_local_socket,
    ports.CHECK: ports.check_ports,
    names.CHECK: names.check_names,
    certificates.CHECK: certificates.check_certificates,
    peers.CHECK: peers.check_peers,
    clocks.CHECK: clocks.check_clocks,
    quorum.CHECK: quorum.check_quorum,
    versions.CHECK: versions.check_versions,
}
NEED_CONFIG: Final = (credentials.CHECK, disk.CHECK, *SURVEYED)
