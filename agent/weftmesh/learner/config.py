"""What the learner is told on its command line, and its bounds."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from weftmesh.core.errors import InvalidInputError
from weftmesh.runtime.metrics.beside import HELP as METRICS_HELP
from weftmesh.runtime.telemetry import LEVELS

IDLE_S: Final = 120.0
"""Without a question for so long the learner ends, should its node not dismiss it earlier."""
REOPEN_MAX: Final = 5
"""A call that breaks is made again so often, before the learner gives up; whoever asks next starts another one."""
QUESTIONS_MAX: Final = 16
"""Under way or waiting; one is answered at a time."""


@dataclass(frozen=True, slots=True)
class LearnerConfig:
    """How one learner process runs.

    Attributes:
        socket: the node's local socket.
        state_dir: what the learner keeps; its alone.
        idle_s: see IDLE_S.
        log_level: one of `telemetry.LEVELS`.
        log_format: console or json.
        metrics: a Unix socket to serve them on; None for nowhere.
    """

    socket: str
    state_dir: Path
    idle_s: float = IDLE_S
    log_level: str = "info"
    log_format: str = "console"
    metrics: Path | None = None


def parse_arguments(arguments: Sequence[str] | None = None) -> LearnerConfig:
    """Read the command line; ends the process with a usage message where it cannot.

    Raises:
        InvalidInputError: the idle time is not above 0.
    """
    parser = argparse.ArgumentParser(
        prog="python -m weftmesh.learner", description="Trains on this node's tasks when its node asks, then exits."
    )
    parser.add_argument("--socket", required=True, help="the node's local socket")
    parser.add_argument("--state-dir", required=True, type=Path, help="where the learner keeps what it must remember")
    parser.add_argument("--idle-s", type=float, default=IDLE_S, help="exit after so many seconds without a question")
    parser.add_argument("--metrics", type=Path, help=METRICS_HELP)
    parser.add_argument("--log-level", choices=LEVELS, default="info")
    parser.add_argument("--log-format", choices=("console", "json"), default="console")
    found = parser.parse_args(arguments)
    if not found.idle_s > 0:
        raise InvalidInputError(f"--idle-s {found.idle_s:g}: has to be above 0")
    state_dir: Path = found.state_dir.absolute()
    return LearnerConfig(found.socket, state_dir, found.idle_s, found.log_level, found.log_format, found.metrics)
