"""A person's wishes about columns, from `--map` and a TOML file, to a mapping.

The file::

    [columns]                 # field = "column header"
    key = "ID"
    title = "Name"
    "custom.team" = "Squad"
    [status]                  # "the tracker's word" = a status of the board
    "Ready for QA" = "doing"
    [priority]
    "P1" = "urgent"
    [options]
    name = "redmine"          # the prefix of origins
    project = "OPS"
    time_zone = "Europe/Helsinki"
    time_formats = ["%d.%m.%Y %H:%M"]
    separator = ","
    delimiter = ";"
    keep_unknown = false
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from weftmesh.core.errors import InvalidInputError
from weftmesh.core.exchange.boardcsv import board_mapping
from weftmesh.core.exchange.jira import jira_mapping
from weftmesh.core.exchange.mapping import ColumnMapping, csv_mapping

BUILT_IN: Final = {"csv": csv_mapping, "jira": jira_mapping, "weftmesh": board_mapping}
"""Mappings by the name a person gives."""

_TABLES: Final = frozenset({"columns", "status", "priority", "options"})
_OPTIONS: Final[Mapping[str, type]] = {
    "name": str,
    "project": str,
    "time_zone": str,
    "time_formats": list,
    "separator": str,
    "delimiter": str,
    "keep_unknown": bool,
}
_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,31}")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class MappingOptions:
    """What the command line says; it goes before the file, None and empty say nothing."""

    assignments: Sequence[str] = ()
    """field=Column, status:Word=doing, priority:Word=urgent."""
    project: str = ""
    time_zone: str = ""
    time_formats: Sequence[str] = ()
    delimiter: str = ""
    ignore_unknown: bool = False


def build_mapping(base: str, options: MappingOptions | None = None, file: Path | None = None) -> ColumnMapping:
    """A built-in mapping with what the file and then the options change.

    Raises:
        InvalidInputError: says which file, key or option, and what it may be.
    """
    if base not in BUILT_IN:
        raise InvalidInputError(f"there is no mapping {base!r}; use one of {', '.join(sorted(BUILT_IN))}")
    mapping = BUILT_IN[base]()
    if file is not None:
        mapping = _with_file(mapping, file)
    return _with_options(mapping, options or MappingOptions())


def _with_options(mapping: ColumnMapping, options: MappingOptions) -> ColumnMapping:
    wishes: dict[str, dict[str, str]] = {"": {}, "status": {}, "priority": {}}
    for assignment in options.assignments:
        left, equals, right = assignment.partition("=")
        if not equals or not left.strip() or not right.strip():
            raise InvalidInputError(
                f"--map {assignment!r}: write field=Column, status:Word=doing or priority:Word=high"
            )
        kind, colon, word = left.partition(":")
        if colon and kind in wishes:
            wishes[kind][word] = right
        else:
            wishes[""][left.strip()] = right
    mapping = mapping.with_columns(wishes[""]).with_words(wishes["status"], wishes["priority"])
    changes: dict[str, object] = {}
    if options.project:
        changes["project"] = options.project
    if options.time_zone:
        changes["time_zone"] = options.time_zone
    if options.time_formats:
        changes["time_formats"] = list(options.time_formats)
    if options.delimiter:
        changes["delimiter"] = options.delimiter
    if options.ignore_unknown:
        changes["keep_unknown"] = False
    return _apply(mapping, changes, "options")


def _with_file(mapping: ColumnMapping, file: Path) -> ColumnMapping:
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInputError(f"{file}: the mapping cannot be read: {error}") from error
    for table, content in document.items():
        if table not in _TABLES or not isinstance(content, dict):
            raise InvalidInputError(f"{file}: there is no table [{table}]; use {', '.join(sorted(_TABLES))}")
    try:
        mapping = mapping.with_columns(_texts(document, "columns"))
        mapping = mapping.with_words(_texts(document, "status"), _texts(document, "priority"))
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error}") from error
    return _apply(mapping, document.get("options", {}), str(file))


def _texts(document: Mapping[str, object], table: str) -> Mapping[str, str]:
    content = cast("dict[str, object]", document.get(table, {}))
    for key, value in content.items():
        if not isinstance(value, str):
            raise InvalidInputError(f"[{table}] {key}: has to be a text")
    return cast("dict[str, str]", content)


def _apply(mapping: ColumnMapping, options: Mapping[str, object], where: str) -> ColumnMapping:
    for key, value in options.items():
        if key not in _OPTIONS:
            raise InvalidInputError(f"{where}: there is no option {key!r}; options are {', '.join(_OPTIONS)}")
        if not isinstance(value, _OPTIONS[key]):
            raise InvalidInputError(f"{where}: {key} has to be of type {_OPTIONS[key].__name__}")
    name = _get(options, "name", mapping.name)
    if not _NAME.fullmatch(name):
        raise InvalidInputError(f"{where}: name {name!r} has to be small letters, digits, . _ or -, at most 32")
    delimiter = _get(options, "delimiter", mapping.delimiter)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise InvalidInputError(f"{where}: delimiter {delimiter!r} has to be one character, not a quote or a line end")
    zone_name = _get(options, "time_zone", mapping.zone_name)
    return replace(
        mapping,
        name=name,
        delimiter=delimiter,
        project=_get(options, "project", mapping.project),
        zone=zone_named(zone_name, where),
        zone_name=zone_name,
        time_formats=(*_get(options, "time_formats", list[str]()), *mapping.time_formats),
        separator=_get(options, "separator", mapping.separator),
        keep_unknown=_get(options, "keep_unknown", mapping.keep_unknown),
    )


def _get(options: Mapping[str, object], key: str, default: _Value) -> _Value:
    # `_apply` has checked the type.
    return cast("_Value", options.get(key, default))


def zone_named(name: str, where: str) -> ZoneInfo:
    """The IANA time zone `name`.

    Raises:
        InvalidInputError: this machine knows none; the message begins with `where`.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInputError(
            f"{where}: there is no time zone {name!r}; use an IANA name: Europe/Helsinki"
        ) from error
