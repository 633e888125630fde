"""Whether a command that is about to be recommended can be run here: a program of this system, or one of ours."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from weftmesh.cli.doctor.findings import Finding, Fix

BUILTINS: Final = frozenset({"echo", "printf", "kill", "unset"})
_SYSTEM_PATHS: Final = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where an administrator's programs are, though not on everybody's path."""
_SEPARATORS: Final = frozenset({"&&", "||", "|", ";"})


def has_program(name: str) -> bool:
    """Whether this machine has a program, ours beside this interpreter included."""
    if name in BUILTINS or Path(sys.executable).with_name(name).exists():
        return True
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PATHS}") is not None


def can_run(command: str, *, has: Callable[[str], bool] = has_program) -> bool:
    """Whether every program of a shell command exists, and of `weftmesh` the subcommand and its options too."""
    for words in _simple_commands(command):
        if words[0] == "weftmesh":
            if not _is_ours(words[1:]):
                return False
        elif not has(words[0]):
            return False
    return True


def with_what_can_run(finding: Finding) -> Finding:
    """The finding without fixes that cannot be run.

    Those for other nodes are judged by this one: the nodes of a mesh are installed alike.
    """
    fixes: tuple[Fix, ...] = tuple(fix for fix in finding.fixes if can_run(fix.command))
    return Finding(finding.check, finding.severity, finding.summary, finding.evidence, fixes)


def _simple_commands(command: str) -> Iterator[list[str]]:
    words: list[str] = []
    lexer = shlex.shlex(command, posix=True, punctuation_chars="&|;")
    lexer.whitespace_split = True
    lexer.commenters = ""
    for word in lexer:
        if word in _SEPARATORS:
            yield words
            words = []
        else:
            words.append(word)
    yield words


def _is_ours(arguments: list[str]) -> bool:
    """Whether `weftmesh` takes this command line, as far as its names go."""
    from weftmesh.cli.app import cli

    command: click.Command = cli
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            option = _option(command, word)
            if option is None:
                return False
            if not option.is_flag and "=" not in word:
                del rest[:1]
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return False
            command = found
    return not isinstance(command, click.Group)


def _option(command: click.Command, word: str) -> click.Option | None:
    name = re.sub("=.*", "", word)
    options = (one for one in command.params if isinstance(one, click.Option))
    return next((one for one in options if name in one.opts), None)
