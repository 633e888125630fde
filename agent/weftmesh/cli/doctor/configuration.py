"""Whether the configuration holds, and whether its files are an administrator's alone to change."""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from shlex import quote
from typing import Final

from weftmesh.cli.doctor.findings import Finding, Fix, Severity
from weftmesh.cli.doctor.remedies import comment_out, edit_line
from weftmesh.runtime.config import validate_config
from weftmesh.runtime.config_schema import KEYS, SECTIONS
from weftmesh.runtime.config_sources import Problem

CHECK: Final = "configuration"
_NEAR: Final = 0.6
"""As the configuration's own messages have it."""
_PLACE: Final = re.compile(r"(/.*):(\d+)")


def check_configuration(path: Path | None, shown: Path) -> list[Finding]:
    """Read the configuration as the daemon does.

    Args:
        path: of its file; None for the default.
        shown: the file in force.
    """
    problems = validate_config(path, environment=os.environ)
    findings = [_problem(problem) for problem in problems]
    files = [shown, *sorted((shown.parent / "conf.d").glob("*.toml"))]
    findings += _writable_by_others(file for file in files if file.exists())
    if findings:
        return findings
    read = ", ".join(str(file) for file in files if file.exists()) or "no file, defaults alone"
    return [Finding(CHECK, Severity.OK, "it holds", read)]


def _problem(problem: Problem) -> Finding:
    place = " ".join(filter(None, (f"[{problem.section}]" if problem.section else "", problem.key)))
    return Finding(CHECK, Severity.FAILURE, f"{place or 'the file'} is wrong", str(problem), tuple(_fixes(problem)))


def _fixes(problem: Problem) -> Iterator[Fix]:
    if problem.origin.startswith("environment "):
        yield Fix(f"unset {problem.origin.removeprefix('environment ')}")
        return
    place = _PLACE.fullmatch(problem.origin)
    if place is None:
        return
    file, line = Path(place[1]), int(place[2])
    if problem.section and not problem.key:
        if near := _near(problem.section, SECTIONS):
            yield edit_line(file, line, problem.section, near)
        return
    names = [name for section, name in KEYS if section == problem.section]
    near = "" if problem.key in names else _near(problem.key, names)
    if near and not _has_key(file, problem.section, near):
        yield edit_line(file, line, problem.key, near)
    elif not _begins_section(file, line):
        yield comment_out(file, line, then="the default takes effect")


def _near(word: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=_NEAR)), "")


def _begins_section(file: Path, line: int) -> bool:
    """Without its header the keys of a section would belong to the one before."""
    return file.read_text(errors="replace").splitlines()[line - 1].lstrip().startswith("[")


def _has_key(file: Path, section: str, key: str) -> bool:
    return key in tomllib.loads(file.read_text()).get(section, {})


def _writable_by_others(files: Iterable[Path]) -> Iterator[Finding]:
    for file in files:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            summary = f"{file} may be changed by others than its owner"
            yield Finding(
                CHECK, Severity.FAILURE, summary, f"mode {mode:04o}", (Fix(f"chmod go-w {quote(str(file))}"),)
            )
