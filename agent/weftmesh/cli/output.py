"""What the command says: data to stdout, words to people on stderr, or one JSON object."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from weftmesh.cli.tables import Column

JSON_INDENT: Final = 2
UTF_8: Final = {"utf-8", "utf8"}
"""In another encoding JSON is ASCII: it is read as UTF-8 everywhere."""


class Output:
    """The one place that writes to stdout and stderr.

    Attributes:
        as_json: whether stdout carries JSON.
        quiet: whether notes are dropped.
    """

    def __init__(self) -> None:
        self.as_json = False
        self.quiet = False
        self._consoles: dict[bool, Console] = {}

    def configure(self, *, as_json: bool, quiet: bool) -> None:
        """Take the global options."""
        self.as_json = as_json
        self.quiet = quiet

    def json(self, value: Mapping[str, Any], *, line: bool = False) -> None:
        """Print one JSON object; on one line where it is one of a stream."""
        escaped = sys.stdout.encoding.lower() not in UTF_8
        text = json.dumps(value, ensure_ascii=escaped, indent=None if line else JSON_INDENT)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def data(self, text: str, style: str = "") -> None:
        """Print a line of data."""
        self._print(text, style, to_stderr=False)

    def note(self, text: str) -> None:
        """Tell a person something, unless they asked for quiet or a program reads along."""
        if not (self.quiet or self.as_json):
            self._print(text, "", to_stderr=True)

    def error(self, text: str, style: str = "bold red") -> None:
        """Tell a person what went wrong."""
        self._print(text, style, to_stderr=True)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]], *, to_stderr: bool = False) -> None:
        """Print a table that fits the terminal; nothing but its header when there are no rows."""
        from weftmesh.cli.tables import lay_out

        header, *lines = lay_out(columns, rows, self.width(to_stderr=to_stderr))
        self._print(header, "bold", to_stderr=to_stderr)
        for line in lines:
            self._print(line, "", to_stderr=to_stderr)

    def pairs(self, pairs: Sequence[tuple[str, str] | tuple[str, str, str]]) -> None:
        """Print names and values below one another, each with a style if it has one; empty values are left out."""
        from weftmesh.cli.tables import cut, one_line

        shown = [pair for pair in pairs if pair[1]]
        label_width = max((len(pair[0]) for pair in shown), default=0)
        width = self.width()
        for label, value, *style in shown:
            text = f"{label:<{label_width}}  {one_line(value)}"
            self._print(text if width is None else cut(text, width), style[0] if style else "", to_stderr=False)

    def width(self, *, to_stderr: bool = False) -> int | None:
        """Cells in a line: COLUMNS, or the terminal's; None where text goes to a file or a pipe, which has no edge."""
        if not os.environ.get("COLUMNS", "").isdigit() and not self.is_terminal(to_stderr=to_stderr):
            return None
        return self._console(to_stderr=to_stderr).width

    @staticmethod
    def is_terminal(*, to_stderr: bool = False) -> bool:
        """Whether a person watches this stream."""
        return (sys.stderr if to_stderr else sys.stdout).isatty()

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress | None]:
        """A progress bar on stderr; None when nobody watches."""
        if self.quiet or self.as_json or not self.is_terminal(to_stderr=True):
            yield None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console(to_stderr=True), transient=True) as progress:
            yield progress

    def _print(self, text: str, style: str, *, to_stderr: bool) -> None:
        from rich.text import Text

        console = self._console(to_stderr=to_stderr)
        # The text is laid out already: rich adds colour where the terminal has it, and nothing else.
        console.print(Text(text, style=style), soft_wrap=True)

    def _console(self, *, to_stderr: bool) -> Console:
        from rich.console import Console

        if to_stderr not in self._consoles:
            self._consoles[to_stderr] = Console(stderr=to_stderr, highlight=False, markup=False, emoji=False)
        return self._consoles[to_stderr]
