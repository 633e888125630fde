"""What an upgrade needs that no node can tell: a backup, and a configuration that the next build understands."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from pathlib import Path
from typing import Final

from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.core.errors import ConfigError

CONFIGURATION: Final = "configuration"
BACKUPS: Final = Path("/var/lib/weftmesh-backup")
"""Where the backup timer puts them."""
SUFFIX: Final = ".age"
VALIDATE_TIMEOUT_S: Final = 20.0


def newest_backup(directory: Path, told_s: float | None) -> tuple[float | None, str]:
    """The age of the newest backup in hours, None where none is known; and how it is known, in words.

    Args:
        directory: where backups are kept.
        told_s: when the node says that one was taken from it, Unix seconds.
    """
    why = f"none was taken from this node, and {directory} has no file ending in {SUFFIX}; name another with --backups"
    try:
        moments = [path.stat().st_mtime for path in directory.iterdir() if path.suffix == SUFFIX]
    except OSError as error:
        moments, why = [], f"none was taken from this node, and {directory}: {error.strerror or error}"
    if told_s is not None and told_s >= max(moments, default=0.0):
        return (time.time() - told_s) / 3600, "taken from this node"
    return ((time.time() - max(moments)) / 3600, f"in {directory}") if moments else (None, why)


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
    problems = _problems(done)
    if not problems:
        said = f"exit status {done.returncode}: {(done.stdout + done.stderr).strip()}"
        return Finding(CONFIGURATION, Severity.UNKNOWN, f"{program} says nothing of the configuration", said)
    fixes = (Fix(" ".join(command[:-1]), then="shows each problem; mend them before the upgrade"),)
    return Finding(CONFIGURATION, Severity.FAILURE, "the next build refuses the configuration", problems, fixes)


def _problems(done: subprocess.CompletedProcess[str]) -> str:
    """What `config validate --json` found; empty if what was run is no such program."""
    try:
        error = json.loads(done.stdout)["error"]
        return str(error["message"]) if error["reason"] == ConfigError.reason else ""
    except (ValueError, KeyError, TypeError):
        return ""
