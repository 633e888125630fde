"""How the node of a configuration is started and stopped on this machine: by systemd where it runs it, else by hand."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from weftmesh.runtime.config import DEFAULT_PATH

AGENT_UNIT: Final = "weftmesh-agent.service"
TARGET: Final = "weftmesh.target"
SYSTEMD_RUNS: Final = Path("/run/systemd/system")
"""Is there where systemd is the init system; see sd_booted(3)."""
STATE_DIRECTORY: Final = Path("/var/lib/weftmesh")
"""StateDirectory= of the unit: what it lets the node write."""
UNIT_DIRECTORIES: Final = tuple(
    Path(place) for place in ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
)


@dataclass(frozen=True, slots=True)
class NodeCommands:
    """What a person types to start or stop one node.

    Attributes:
        config_file: the node's configuration.
        has_unit: whether systemd runs this node.
    """

    config_file: Path
    has_unit: bool

    @classmethod
    def of_this_machine(
        cls, config_file: Path, *, systemd: Path = SYSTEMD_RUNS, units: Sequence[Path] = UNIT_DIRECTORIES
    ) -> Self:
        """Those for the machine that this runs on."""
        installed = any((directory / AGENT_UNIT).exists() for directory in units)
        # The unit runs the node of the default configuration; another one was started in some other way.
        return cls(config_file, has_unit=config_file == DEFAULT_PATH and installed and systemd.exists())

    @property
    def daemon(self) -> str:
        """The daemon itself, in the foreground."""
        return "weftmeshd" if self.config_file == DEFAULT_PATH else f"weftmeshd --config {_quoted(self.config_file)}"

    @property
    def start(self) -> str:
        """Start the node."""
        return f"systemctl start {AGENT_UNIT}" if self.has_unit else self.daemon

    @property
    def enable(self) -> str:
        """Start the node and its companions, now and whenever the machine starts, where something does that."""
        return f"systemctl enable --now {TARGET}" if self.has_unit else self.daemon

    @property
    def stop(self) -> str:
        """Stop the node."""
        return f"systemctl stop {AGENT_UNIT}" if self.has_unit else self._kill

    @property
    def disable(self) -> str:
        """Stop the node and its companions, and start them no more."""
        return f"systemctl disable --now {TARGET} {AGENT_UNIT}" if self.has_unit else self._kill

    def weftmesh(self, arguments: str) -> str:
        """Our command line for this node."""
        if self.config_file == DEFAULT_PATH:
            return f"weftmesh {arguments}"
        return f"weftmesh --config {_quoted(self.config_file)} {arguments}"

    @property
    def _kill(self) -> str:
        return f"Ctrl-C where {self.daemon} runs, or SIGTERM to its process"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
