"""What was found in a file: where, what, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

FINDINGS_MAX: Final = 50
"""So many are enough to mend at a time; the rest of the files is left unread."""
_SHOWN_CHARACTERS: Final = 100
_LED_BY_CHARACTERS: Final = 60
"""How much of a long line is shown, and how much of it may stand before the place."""


class Code(StrEnum):
    """What kind of thing is wrong, for programs."""

    UNREADABLE = "UNREADABLE"
    """No text, or none at all."""
    TOO_LARGE = "TOO_LARGE"
    SYNTAX = "SYNTAX"
    """No YAML."""
    REFUSED_YAML = "REFUSED_YAML"
    """YAML that is not read: aliases, tags, keys that are no text."""
    DUPLICATE = "DUPLICATE"
    AMBIGUOUS = "AMBIGUOUS"
    """YAML 1.1 and 1.2 read it differently."""
    UNKNOWN_KEY = "UNKNOWN_KEY"
    MISSING_KEY = "MISSING_KEY"
    BAD_VALUE = "BAD_VALUE"
    CONTRADICTION = "CONTRADICTION"
    """Each value is good and they do not go together."""
    UNSUPPORTED = "UNSUPPORTED"
    """OpenSLO allows it, and this program cannot do it."""
    NO_EFFECT = "NO_EFFECT"
    """It is read and changes nothing."""


class Severity(StrEnum):
    """Whether the file can be applied."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file, from 1."""

    line: int
    column: int


START: Final = Mark(1, 1)


@dataclass(frozen=True, slots=True)
class Source:
    """A file's name, and its lines as far as they could be read."""

    name: str
    lines: Sequence[str] = field(default=(), repr=False)

    def line(self, number: int) -> str:
        """A line by its number; empty beyond the end."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    source: Source
    mark: Mark
    code: Code
    message: str
    fix: str
    severity: Severity = Severity.ERROR

    def as_json(self) -> Mapping[str, str | int]:
        """The form for programs."""
        return {
            "file": self.source.name,
            "line": self.mark.line,
            "column": self.mark.column,
            "severity": str(self.severity),
            "code": str(self.code),
            "message": self.message,
            "fix": self.fix,
            "text": self._shown()[0],
        }

    def __str__(self) -> str:
        place = f"{self.source.name}:{self.mark.line}:{self.mark.column}"
        lines = [f"{place}: {self.severity}: {self.message} [{self.code}]"]
        text, caret_at = self._shown()
        if text.strip():
            margin = f"{self.mark.line:>5} | "
            lines += [margin + text, f"{'':>5} | {'':{caret_at}}^"]
        return "\n".join([*lines, f"      fix: {self.fix}"])

    def _shown(self) -> tuple[str, int]:
        """The offending line, or a part of it around the place, and the column of the place in it, from 0."""
        column = self.mark.column - 1
        cut = column - _LED_BY_CHARACTERS if column >= _SHOWN_CHARACTERS else 0
        part = self.source.line(self.mark.line)[cut : cut + _SHOWN_CHARACTERS]
        printable = "".join(one if one.isprintable() else " " for one in part)
        return printable.rstrip(), column - cut


class FindingsFullError(Exception):
    """So much is wrong that nobody reads on."""


class Findings:
    """What was found so far: one thing at each place, since a second one mostly follows from the first."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Mark], Finding] = {}

    def add(self, finding: Finding) -> None:
        """Keep it, unless something was found at its place.

        Raises:
            FindingsFullError: there is no room for another one.
        """
        place = finding.source.name, finding.mark
        before = self._found.get(place)
        if before is not None and (before.severity is Severity.ERROR or finding.severity is Severity.WARNING):
            return
        self._found[place] = finding
        if len(self._found) >= FINDINGS_MAX:
            raise FindingsFullError

    def __iter__(self) -> Iterator[Finding]:
        """In the order of files and lines."""
        names = {name: index for index, name in enumerate(dict.fromkeys(name for name, _ in self._found))}
        return iter(sorted(self._found.values(), key=lambda one: (names[one.source.name], one.mark)))

    def __len__(self) -> int:
        return len(self._found)
