"""Where settings are read from, and which line each came from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from weftmesh.runtime.config_schema import CONFIG_VERSION, SECTIONS

VARIABLE_PREFIX: Final = "WEFTMESH_"
FILE_BYTES_MAX: Final = 1024 * 1024
_HEADER: Final = re.compile(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]")
_ASSIGNMENT: Final = re.compile(r"\s*(?:([A-Za-z0-9_-]+)\s*\.\s*)?([A-Za-z0-9_-]+)\s*=")
_TOML_PLACE: Final = re.compile(r"(.*) \(at line (\d+), column \d+\)")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: `origin` is "FILE:LINE", "FILE", "environment NAME" or "default"."""

    origin: str
    section: str
    key: str
    message: str

    def __str__(self) -> str:
        place = f"[{self.section}] {self.key}".strip() if self.section else self.key
        return f"{self.origin}: {place}: {self.message}" if place else f"{self.origin}: {self.message}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One value as it was found; `is_text` when it came as text and has no type of its own yet."""

    section: str
    key: str
    found: Any
    origin: str
    is_text: bool = False

    def problem(self, message: str) -> Problem:
        """Say what is wrong with this value."""
        return Problem(self.origin, self.section, self.key, message)


def read_files(path: Path, *, required: bool, problems: list[Problem]) -> list[Entry]:
    """Read `path` and then `conf.d/*.toml` beside it, in lexical order; what goes wrong is added to `problems`."""
    if not path.is_absolute():
        problems.append(Problem(str(path), "", "", "the path of the configuration file must be absolute"))
        return []
    drop_ins = sorted((path.parent / "conf.d").glob("*.toml"))
    files = [path, *drop_ins] if required or path.exists() else drop_ins
    return [entry for file in files for entry in _read_file(file, problems)]


def read_environment(environment: Mapping[str, str], *, problems: list[Problem]) -> list[Entry]:
    """Read WEFTMESH_SECTION_KEY; a variable that names no section of ours belongs to somebody else."""
    entries = []
    for variable, text in sorted(environment.items()):
        section, _, key = variable.removeprefix(VARIABLE_PREFIX).lower().partition("_")
        if variable.startswith(VARIABLE_PREFIX) and section in SECTIONS:
            origin = f"environment {variable}"
            if key:
                entries.append(Entry(section, key, text, origin, is_text=True))
            else:
                problems.append(Problem(origin, section, "", "names a section without a key"))
    return entries


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" or, without a near miss, the list of what is known."""
    import difflib  # for what is wrong alone: no process that starts needs it

    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"


def _read_file(path: Path, problems: list[Problem]) -> Iterator[Entry]:
    try:
        with path.open("rb") as stream:
            raw = stream.read(FILE_BYTES_MAX + 1)
        if len(raw) > FILE_BYTES_MAX:
            problems.append(Problem(str(path), "", "", f"is larger than {FILE_BYTES_MAX} bytes; is it the right file?"))
            return
        text = raw.decode()
        document = tomllib.loads(text)
    except OSError as error:
        problems.append(Problem(str(path), "", "", f"cannot be read: {error.strerror}"))
        return
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.append(Problem(f"{path}:{line}", "", "", "is not UTF-8"))
        return
    except (ValueError, RecursionError) as error:  # beside its own error the parser lets Python's limits through
        problems.append(_syntax_problem(path, error))
        return
    yield from _entries(path, document, _find_lines(text), problems)


def _entries(
    path: Path, document: Mapping[str, Any], lines: Mapping[tuple[str, str], int], problems: list[Problem]
) -> Iterator[Entry]:
    def origin(section: str, key: str) -> str:
        line = lines.get((section, key))
        return f"{path}:{line}" if line else str(path)

    for section, table in document.items():
        if section == "config_version":
            if table != CONFIG_VERSION or isinstance(table, bool):
                message = f"found {table}, this release reads {CONFIG_VERSION}; the file was written for another one"
                problems.append(Problem(origin("", section), "", section, message))
        elif not isinstance(table, dict):
            message = f"stands outside of any section; sections are {', '.join(SECTIONS)}"
            problems.append(Problem(origin("", section), "", section, message))
        elif section not in SECTIONS:
            message = f"unknown section{did_you_mean(section, SECTIONS)}"
            problems.append(Problem(origin(section, ""), section, "", message))
        else:
            for key, value in table.items():
                yield Entry(section, key, value, origin(section, key))


def _syntax_problem(path: Path, error: Exception) -> Problem:
    if match := _TOML_PLACE.fullmatch(str(error)):
        return Problem(f"{path}:{match[2]}", "", "", f"is not TOML: {match[1]}")
    return Problem(str(path), "", "", f"is not TOML: {error}")


def _find_lines(text: str) -> dict[tuple[str, str], int]:
    """Find the line of each `[section]` and `key =`; tomllib does not tell, and our files are flat.

    A line within a multi-line string may look like an assignment: the first one found wins, and a wrong line number is
    the worst that can come of it.
    """
    lines: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = header[1]
            lines.setdefault((section, ""), number)
        elif assignment := _ASSIGNMENT.match(line):
            lines.setdefault((assignment[1] or section, assignment[2]), number)
    return lines
