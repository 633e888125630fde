"""What the package gives to people at a terminal: completions and manuals of every command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.platform.conftest import install
from tests.platform.machine import Machine
from tests.platform.terminal import Terminal

pytestmark = [pytest.mark.platform, pytest.mark.timeout(900)]

PROMPT = "its turn> "
SET_PROMPT = "PS1='its turn''> '"
"""As typed it does not hold the prompt, which is waited for."""
ZSH = "fpath+=(/usr/share/zsh/site-functions); autoload -Uz compinit; compinit -u -D"
"""What EL's zsh has set: Debian's looks for completions elsewhere."""
COMMANDS = """
import json
import click
from weftmesh.cli.app import cli
context = click.Context(cli, info_name="weftmesh")
groups = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
print(json.dumps({name: list(getattr(group, "commands", ())) for name, group in groups.items() if not group.hidden}))
"""


@pytest.fixture
def machine(new_machine: Machine, packages: Path) -> Machine:
    install(new_machine, packages, "weftmesh")
    return new_machine


@pytest.fixture
def commands(machine: Machine) -> dict[str, list[str]]:
    """Commands by the group that they are in."""
    found: dict[str, list[str]] = json.loads(machine.run("/usr/lib/weftmesh/bin/python", "-I", "-c", COMMANDS).stdout)
    return found


@pytest.mark.parametrize(
    ("words", "prepared"),
    [
        (("bash", "--norc", "-i"), ". /usr/share/bash-completion/bash_completion"),
        (("zsh", "-f", "-i"), ZSH),
    ],
    ids=["bash", "zsh"],
)
def test_tab_completes(words: tuple[str, ...], prepared: str, machine: Machine) -> None:
    with Terminal(machine, words) as terminal:
        terminal.type(f"{prepared}; {SET_PROMPT}\n", PROMPT)
        terminal.type("weftmesh ta\t", "weftmesh task ")
        terminal.type("cla\t", "claim ")


def test_fish_completes(machine: Machine) -> None:
    offered = machine.run("fish", "--command", "complete --do-complete 'weftmesh ta'").stdout
    assert "task" in [line.split("\t")[0] for line in offered.splitlines()]


def test_every_command_is_completed(machine: Machine, commands: dict[str, list[str]]) -> None:
    def offered(*typed: str) -> set[str]:
        line = " ".join(["weftmesh", *typed, ""])
        asked = ["_WEFTMESH_COMPLETE=bash_complete", f"COMP_WORDS={line}", f"COMP_CWORD={len(typed) + 1}"]
        return {row.partition(",")[2] for row in machine.run("env", *asked, "weftmesh").stdout.splitlines()}

    assert offered() == commands.keys()
    for group, inner in commands.items():
        assert set(inner) <= offered(group)


def test_every_command_has_a_manual_that_man_reads_without_a_warning(
    machine: Machine, commands: dict[str, list[str]]
) -> None:
    for group, inner in commands.items():
        shown = machine.run("man", "--warnings", "--locale=C", f"weftmesh-{group}")
        assert shown.stderr == ""
        text = re.sub(r"\s+", " ", shown.stdout)
        assert [name for name in (group, *inner) if f"weftmesh {group}" not in text or name not in text] == []
    for page in ("weftmesh", "weftmesh.toml", "weftmeshd"):
        assert machine.run("man", "--warnings", page).stderr == ""
