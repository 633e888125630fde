"""What an upgrade needs that no node can tell: a backup, and a configuration that the next build understands."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from pathlib import Path
from typing import Final

from weftmesh.cli.doctor.findings import Finding, Fix, Severity

CONFIGURATION: Final = "configuration"
BACKUPS: Final = Path("/var/lib/weftmesh-backup")
"""Where the backup timer puts them."""
SUFFIX: Final = ".age"
VALIDATE_TIMEOUT_S: Final = 20.0


def newest_backup(directory: Path) -> tuple[float | None, str]:
    """The age of the newest backup in hours, None where none is seen; and where it was looked for, in words."""
    try:
        moments = [path.stat().st_mtime for path in directory.iterdir() if path.suffix == SUFFIX]
    except OSError as error:
        return None, f"{directory}: {error.strerror or error}; name another with --backups"
    if not moments:
        return None, f"{directory} has no file ending in {SUFFIX}; name another with --backups"
    return (time.time() - max(moments)) / 3600, f"in {directory}"


async def judge_configuration(program: Path | None, config_file: Path) -> Finding:
    """Let the next build check this node's configuration.

    Args:
        program: its `weftmesh`, such as one unpacked from its package; None if nobody named it.
        config_file: the file in force.
    """
    if program is None:
        fix = (Fix(f"NEW/weftmesh --config {config_file} config validate", then="of the build to install; --with NEW"),)
        return Finding(CONFIGURATION, Severity.SKIPPED, "name the next build's weftmesh with --with", "", fix)
    command = [str(program), "--config", str(config_file), "config", "validate", "--json"]
    try:
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False, timeout=VALIDATE_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(CONFIGURATION, Severity.UNKNOWN, f"{program} cannot be run", str(error))
    if done.returncode == 0:
        return Finding(CONFIGURATION, Severity.OK, "the next build understands the configuration", str(config_file))
    fixes = (Fix(" ".join(command[:-1]), then="shows each problem; mend them before the upgrade"),)
    return Finding(CONFIGURATION, Severity.FAILURE, "the next build refuses the configuration", _said(done), fixes)


def _said(done: subprocess.CompletedProcess[str]) -> str:
    text = (done.stdout or done.stderr).strip()
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text or f"exit status {done.returncode}"
