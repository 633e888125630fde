"""The commands that mend things, as this machine has them: with systemd where it runs the node, else without."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from weftmesh.cli.doctor.available import has_program
from weftmesh.cli.doctor.findings import Fix
from weftmesh.cli.session import DEFAULT_CONFIG
from weftmesh.runtime.units import AGENT_UNIT, NodeCommands

FOUNDER: Final = "the node with the mesh's authority"
_SPECIAL_IN_PATTERN: Final = r"\/.*[]^$"
_SPECIAL_IN_REPLACEMENT: Final = r"\/&"
PASTE_LINE: Final = "run the line that it prints on {node}; where the agent runs, restart it then"


@dataclass(frozen=True, slots=True)
class Remedies:
    """Makes fixes for one machine.

    Attributes:
        config_file: the configuration in force.
        has_unit: whether systemd runs this node.
        has: whether this machine has a program.
    """

    config_file: Path
    has_unit: bool
    has: Callable[[str], bool] = has_program

    @classmethod
    def of_this_machine(cls, config_file: Path) -> Self:
        """Those for the machine that this runs on."""
        return cls(config_file, has_unit=NodeCommands.of_this_machine(config_file).has_unit)

    def weftmesh(self, arguments: str) -> str:
        """Our command line with the configuration in force."""
        return self._node.weftmesh(arguments)

    def start(self, node: str = "") -> Fix:
        """Start a node's agent; of another node's configuration nothing is known here."""
        if node:
            return Fix(NodeCommands(DEFAULT_CONFIG, self.has_unit).start, node)
        return Fix(self._node.start)

    def restart(self, node: str = "") -> tuple[Fix, ...]:
        """Restart a node's agent; nothing where somebody started it by hand, who has to stop it too."""
        return (Fix(f"systemctl restart {AGENT_UNIT}", node),) if self.has_unit else ()

    def replace_hung(self, pid: int) -> tuple[Fix, ...]:
        """Restart this node's agent, which does not listen to a polite request any more."""
        return self.restart() or (Fix(f"kill -KILL {pid}"), self.start())

    @property
    def _node(self) -> NodeCommands:
        return NodeCommands(self.config_file, self.has_unit)

    def token(self, options: str, founder: str, joins: str) -> Fix:
        """A token, which only the node with the authority makes, and the line that the node that joins has to run."""
        made = f"token create {options}".strip()
        return Fix(f"weftmesh {made}" if founder else self.weftmesh(made), founder, PASTE_LINE.format(node=joins))

    def found(self) -> Fix:
        """Found a mesh."""
        then = "or join one: on a member, weftmesh token create, and run the line that it prints here"
        return Fix(self.weftmesh("init --cluster mesh"), then=then)

    def set_clock(self, node: str) -> tuple[Fix, ...]:
        """Set a node's clock right, by what disciplines it."""
        if self.has("chronyc"):
            return (Fix("chronyc makestep", node),)
        if self.has("timedatectl"):
            return (Fix("timedatectl set-ntp true", node),)
        return ()

    def set_in_drop_in(self, name: str, section: str, key: str, value: object) -> Fix:
        """Set one key in a file of its own in conf.d, which is read last if its name sorts last."""
        path = self.config_file.parent / "conf.d" / name
        toml = f"[{section}]\\n{key} = {json.dumps(value)}\\n"
        return Fix(f"printf '{toml}' | install -D --mode=0644 /dev/stdin {shlex.quote(str(path))}")


def edit_line(path: Path, line: int, old: str, new: str) -> Fix:
    """Replace the first `old` in a line of a file."""
    script = f"{line}s/{_escaped(old, _SPECIAL_IN_PATTERN)}/{_escaped(new, _SPECIAL_IN_REPLACEMENT)}/"
    return Fix(f"sed --in-place {shlex.quote(script)} {shlex.quote(str(path))}")


def comment_out(path: Path, line: int, then: str = "") -> Fix:
    """Put a line of a configuration file out of use."""
    return Fix(f"sed --in-place '{line}s/^/# /' {shlex.quote(str(path))}", then=then)


def _escaped(text: str, special: str) -> str:
    return "".join(f"\\{character}" if character in special else character for character in text)
