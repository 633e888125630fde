"""Man pages, shell completions and the first configuration file, made of the command line and the schema themselves.

Run by the interpreter of the target, with the bundle in its path: what cannot be imported there cannot be packaged.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from weftmesh.cli.app import cli
from weftmesh.runtime.config_schema import CONFIG_VERSION, KEYS, SECTIONS, Key

SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
COMPLETIONS = {"bash": "weftmesh", "zsh": "_weftmesh", "fish": "weftmesh.fish"}
"""What each shell's file is called."""
HOST = "HOST"
"""In the place of this host's name, on which some defaults depend."""


def main() -> None:
    """Write everything below a directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    for section, name, text in pages():
        write(directory / f"man/man{section}/{name}.{section}", text)
    for shell, name in COMPLETIONS.items():
        write(directory / "completions" / shell / name, completion(shell))
    write(directory / "weftmesh.toml", first_configuration())


def write(path: Path, text: str) -> None:
    """Write a file and the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def completion(shell: str) -> str:
    """The script that completes `weftmesh` in a shell."""
    # The `source` method of bash's class would run bash to learn its version.
    complete = SHELLS[shell](cli, {}, "weftmesh", "_WEFTMESH_COMPLETE")
    script = complete.source_template % complete.source_vars()
    if shell != "zsh":
        return script
    # In zsh's path the file is the body of a function. At its second call click's ending would only register what is
    # registered already, and complete nothing.
    body, ending, _ = script.partition("if [[ $zsh_eval_context[-1] == loadautofunc ]]")
    assert ending, "click ends its script for zsh in another way"  # noqa: S101, it runs when packages are built
    return f'{body}{complete.func_name} "$@"\n'


def first_configuration() -> str:
    """A configuration in which everything is a comment that says the default."""
    lines = ["# weftmesh.toml(5). What is commented out is the default; weftmesh config validate checks this file.", ""]
    lines.append(f"config_version = {CONFIG_VERSION}")
    for section in SECTIONS:
        lines += ["", f"#[{section}]"]
        lines += [f"#{key.name} = {default(key)}" for key in KEYS.values() if key.section == section]
    return "\n".join(lines) + "\n"


def default(key: Key) -> str:
    """The default of a setting as TOML."""
    value = key.default(HOST)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return str(list(value))
    return str(value) if isinstance(value, int) else f'"{value}"'


def pages() -> Iterator[tuple[int, str, str]]:
    """Section, name and text of every page."""
    context = click.Context(cli, info_name="weftmesh", **cli.context_settings)
    yield 1, "weftmesh", page(context, [(name, command) for name, command in commands(context)])
    for name, command in commands(context):
        yield 1, f"weftmesh-{name}", page(child(context, name, command), commands(child(context, name, command)))
    yield 5, "weftmesh.toml", configuration_page()
    yield 8, "weftmeshd", daemon_page()


def child(context: click.Context, name: str, command: click.Command) -> click.Context:
    """The context of a subcommand."""
    return click.Context(command, info_name=name, parent=context)


def commands(context: click.Context) -> list[tuple[str, click.Command]]:
    """The subcommands of a group; none of anything else."""
    group = context.command
    if not isinstance(group, click.Group):
        return []
    found = [(name, group.get_command(context, name)) for name in group.list_commands(context)]
    return [(name, command) for name, command in found if command is not None and not command.hidden]


def page(context: click.Context, subcommands: list[tuple[str, click.Command]]) -> str:
    """The page of one command and of those below it."""
    title = context.command_path.replace(" ", "-")
    text = [head(title, 1), f".SH NAME\n{title} \\- {escaped(summary(context.command))}", *synopsis(context)]
    text += [".SH DESCRIPTION", prose(context.command.help or ""), *options(context, ".SH OPTIONS")]
    if subcommands:
        text.append(".SH COMMANDS")
    for name, command in subcommands:
        inner = child(context, name, command)
        text += [f".SS {escaped(usage(inner))}", prose(command.help or "")]
        if context.parent is not None:
            text += options(inner, ".PP")
    return "\n".join([*text, ".SH SEE ALSO", "weftmesh(1), weftmesh.toml(5), weftmeshd(8)"]) + "\n"


def summary(command: click.Command) -> str:
    """The first sentence of a command's help, without its full stop."""
    return command.get_short_help_str(limit=200).rstrip(".")


def usage(context: click.Context) -> str:
    """How a command is written."""
    return " ".join([context.command_path, *context.command.collect_usage_pieces(context)])


def synopsis(context: click.Context) -> list[str]:
    """The section that shows how a command is written."""
    return [".SH SYNOPSIS", f".B {escaped(usage(context))}"]


def options(context: click.Context, heading: str) -> list[str]:
    """The options of a command, each with its help."""
    records = [record for one in context.command.get_params(context) if (record := one.get_help_record(context))]
    rows = [f".TP\n.B {escaped(names)}\n{escaped(text) or '.'}" for names, text in records]
    return [heading, *rows] if rows else []


def configuration_page() -> str:
    """The page of the configuration file, from the schema."""
    text = [head("weftmesh.toml", 5), ".SH NAME\nweftmesh.toml \\- the configuration of a weftmesh node"]
    text += [".SH SYNOPSIS\n/etc/weftmesh/weftmesh.toml\n.br\n/etc/weftmesh/conf.d/*.toml", ".SH DESCRIPTION"]
    text.append(
        prose(
            "Defaults, then weftmesh.toml, then conf.d/*.toml beside it in the order of their names, then the "
            "environment as WEFTMESH_SECTION_KEY; the last one wins. Unknown names are errors. systemctl reload "
            "weftmesh-agent checks the files, takes over what is marked live, and names in the log and in systemctl "
            "status what needs a restart."
        )
    )
    for section in SECTIONS:
        text.append(f".SH [{section}]")
        for key in [one for one in KEYS.values() if one.section == section]:
            live = " Live." if key.live else ""
            text.append(
                f".TP\n.B {escaped(key.name)}\n{escaped(f'{key.kind.allowed}. Default: {default(key)}.{live}')}"
            )
    return "\n".join([*text, ".SH SEE ALSO", "weftmesh-config(1), weftmeshd(8)"]) + "\n"


def daemon_page() -> str:
    """The page of the daemon."""
    text = [head("weftmeshd", 8), ".SH NAME\nweftmeshd \\- runs one weftmesh node", ".SH SYNOPSIS"]
    text += [".B weftmeshd [--config FILE]", ".SH DESCRIPTION"]
    text.append(
        prose(
            "The node that weftmesh-init(1) or weftmesh-join(1) made. Started by weftmesh-agent.service, which is a "
            "part of weftmesh.target.\n\nSIGHUP reads the configuration again, SIGTERM stops the node after leadership "
            "was handed over. Exit status 78 says that the configuration does not hold."
        )
    )
    return "\n".join([*text, ".SH SEE ALSO", "weftmesh(1), weftmesh.toml(5)"]) + "\n"


def head(title: str, section: int) -> str:
    """The first line of a page; without a date, so that two builds are alike."""
    return f'.TH "{title.upper()}" "{section}" "" "weftmesh" "weftmesh"'


def prose(text: str) -> str:
    """Help text as paragraphs; those after click's mark for it keep their lines."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", textwrap.dedent(text).replace("\f", "").strip()):
        kept = paragraph.startswith("\b")
        lines = [escaped(line.strip()) for line in paragraph.replace("\b", "").strip().splitlines()]
        paragraphs.append("\n.br\n".join(lines) if kept else "\n".join(lines))
    return "\n.PP\n".join(paragraphs)


def escaped(text: str) -> str:
    """Text as roff prints it as it is."""
    text = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    main()
