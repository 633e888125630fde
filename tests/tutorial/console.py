"""Reads pages with console blocks, runs their commands in one shell, and compares what is printed with what is shown.

A block has lines that begin with `$ `, each a command (a here-document goes on to its end), and behind each the lines
that it prints, in order; others may be between them. Runs of blanks count as one, and `...` stands for anything.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from time import monotonic

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HERE_DOCUMENT = re.compile(r"<<'?(\w+)'?")


@dataclass(frozen=True)
class Step:
    """One command and the lines that have to be in its output."""

    line: int
    command: str
    shown: tuple[str, ...]


def steps(page: str) -> Iterator[Step]:
    """Every command of a page."""
    for block in BLOCK.finditer(page):
        first = page.count("\n", 0, block.start(1)) + 1
        lines = block[1].splitlines()
        at = 0
        while at < len(lines):
            begun, command = at, lines[at].removeprefix("$ ")
            assert lines[at].startswith("$ "), f"line {first + at} belongs to no command"
            at += 1
            if here := HERE_DOCUMENT.search(command):
                end = lines.index(here[1], at) + 1
                command = "\n".join([command, *lines[at:end]])
                at = end
            shown = []
            while at < len(lines) and not lines[at].startswith("$ "):
                shown.append(lines[at])
                at += 1
            yield Step(first + begun, command, tuple(shown))


def differs(shown: tuple[str, ...], printed: str) -> str:
    """The first shown line that was not printed behind those before it; empty if all were."""
    lines = iter([" ".join(line.split()) for line in printed.splitlines()])
    for one in shown:
        words = re.escape(" ".join(one.split())).replace(r"\.\.\.", ".*").replace(r"\ .*", ".*").replace(r".*\ ", ".*")
        if one.strip() != "..." and not any(re.fullmatch(words, line) for line in lines):
            return one
    return ""


class Shell:
    """One shell for all commands of a page.

    Args:
        directory: where it begins.
        environment: beside PATH.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WEFTMESH_")}
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=kept | dict(environment) | {"PATH": path},
            start_new_session=True,
        )
        self._number = 0

    def run(self, command: str, timeout_s: float) -> str:
        """What `command` prints, stderr included.

        Raises:
            TimeoutError: it did not end in time.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._number += 1
        mark = f"--- end of command {self._number} ---"
        self._process.stdin.write(f"{command}\necho; echo '{mark}'\n".encode())
        self._process.stdin.flush()
        printed, deadline = b"", monotonic() + timeout_s
        with DefaultSelector() as selector:
            selector.register(self._process.stdout, EVENT_READ)
            while f"\n{mark}\n".encode() not in printed:
                if not selector.select(deadline - monotonic()):
                    raise TimeoutError(f"{command}\nprinted, and did not end:\n{printed.decode()}")
                piece = os.read(self._process.stdout.fileno(), 65_536)
                assert piece, f"the shell ended at: {command}\n{printed.decode()}"
                printed += piece
        return printed.decode().partition(f"\n{mark}\n")[0]

    def close(self) -> None:
        """End it, and whatever it left in its session."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
