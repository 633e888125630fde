from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from weftmesh.cli.app import cli
from weftmesh.cli.exit_codes import ExitCode

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "cli.md"
EVERYWHERE = {"--json", "--help", "-h"}


def options(command: click.Command) -> set[str]:
    found = {flag for parameter in command.params if isinstance(parameter, click.Option) for flag in parameter.opts}
    return {flag for flag in found if flag.startswith("--")} - EVERYWHERE


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        if not isinstance(command, click.Group) or options(command):
            yield f"{path} {name}", command


COMMANDS = dict(commands(cli, "weftmesh"))


def section(path: str) -> str:
    """What the document says of one command: from its heading to the next."""
    match = re.search(rf"^### `{re.escape(path)}`$(.*?)(?=^##|\Z)", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return match[1] if match else ""


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_is_documented(path: str) -> None:
    text = section(path)
    assert text, f"docs/cli.md has no section ### `{path}`"
    missing = {flag for flag in options(COMMANDS[path]) if f"`{flag}" not in text}
    assert not missing, f"docs/cli.md says nothing of {path} {missing}"


def test_nothing_is_documented_that_does_not_exist() -> None:
    text = DOCUMENT.read_text()
    assert set(re.findall(r"^### `(.*)`$", text, re.MULTILINE)) == set(COMMANDS)
    for path, command in COMMANDS.items():
        told = set(re.findall(r"^\| `(--[a-z-]+)", section(path), re.MULTILINE))
        assert told <= options(command), path


def test_global_options_and_exit_statuses_are_documented() -> None:
    text = DOCUMENT.read_text()
    assert all(f"`{flag}" in text for flag in options(cli))
    assert all(re.search(rf"^\| {int(code)} \|", text, re.MULTILINE) for code in ExitCode)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_a_help_that_fits(path: str) -> None:
    command = COMMANDS[path]
    assert command.help, path
    context = click.Context(command, info_name=path, terminal_width=80)
    assert all(len(line) <= 80 for line in command.get_help(context).splitlines())


@pytest.mark.parametrize("path", [path for path, command in COMMANDS.items() if "--dry-run" not in options(command)])
def test_what_cannot_be_tried_dry_changes_no_board(path: str) -> None:
    reading = {
        "ls",
        "show",
        "table",
        "log",
        "watch",
        "conflicts",
        "status",
        "version",
        "validate",
        "schema",
        "plan",
        "explain",
        "graph",
        "export",
        "report",
        "forecast",
        "history",
        "replay",
        "lanes",
        "doctor",
        "dry-run",
        "check",
        "whoami",
        "tail",
        "controls",
    }
    local = {"init", "join", "up", "down", "sync", "backup", "keygen", "verify", "bootstrap"}
    assert path.split()[-1] in reading | local
