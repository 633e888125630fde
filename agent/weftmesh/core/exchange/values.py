"""The text of cells to values of fields. Every function raises CellError when the text is not such a value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeVar

from weftmesh.core.board.model import CUSTOM_PREFIX, DueAt, DueDate, FieldValue, Limits, Priority, Status
from weftmesh.core.exchange.mapping import ColumnMapping
from weftmesh.core.exchange.problems import CellError
from weftmesh.core.exchange.words import normalise

_BLANKS: Final[Mapping[str, FieldValue]] = {
    "title": "",
    "description": "",
    "status": Status.TODO,
    "assignee": "",
    "priority": Priority.NONE,
    "labels": frozenset(),
    "parent": "",
    "depends_on": frozenset(),
}

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ISO_DAY_CHARACTERS: Final = 10
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_Word = TypeVar("_Word", Status, Priority)


def blank(path: str) -> FieldValue:
    """What a field holds when nobody ever wrote it."""
    return _BLANKS.get(path)


def parse(path: str, texts: Sequence[str], mapping: ColumnMapping) -> FieldValue:
    """The value at `path` from the cells that feed it; blank when they are all empty."""
    if not texts:
        return blank(path)
    if path == "labels":
        return _labels(texts, mapping)
    if path.startswith(CUSTOM_PREFIX):
        return _custom(texts, path in mapping.times, mapping)
    text = texts[0]
    match path:
        case "status":
            return _word(text, mapping.statuses, "status")
        case "priority":
            return _word(text, mapping.priorities, "priority")
        case "estimate":
            return _estimate(text)
        case "due":
            return _due(text, mapping)
        case "description":
            return _description(text)
    limit = Limits.TITLE_CHARACTERS if path == "title" else Limits.NAME_CHARACTERS
    return single_line(text.strip(), limit)


def bounded(text: str, limit_characters: int) -> str:
    """`text`, if it is short enough."""
    if len(text) > limit_characters:
        raise CellError(
            f"{len(text):,} characters, the limit is {limit_characters:,}", "shorten it, or leave the column out"
        )
    return text


def single_line(text: str, limit_characters: int) -> str:
    """`text`, if it is short enough and has no line break or other control character, as the board demands of names."""
    if _CONTROL.search(text):
        raise CellError("contains a line break or another control character", "write it on one line of plain text")
    return bounded(text, limit_characters)


def items(text: str, separator: str) -> list[str]:
    """The items of a set that stands in one cell: a JSON list of texts, or items between separators."""
    if text.startswith("["):
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, list) and all(isinstance(item, str) for item in parsed):
            return parsed
    parts = text.split(separator) if separator else text.split()
    return [part.strip() for part in parts if part.strip()]


def instant(text: str, mapping: ColumnMapping) -> datetime:
    """A time, in UTC; without an offset in the text it is the mapping's zone's.

    A local time that a change of clocks repeats is the earlier one, one that it skips counts from before the change.
    """
    moment = _parse_time(text.strip(), mapping)
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=mapping.zone, fold=0)).astimezone(UTC)
    except OverflowError:
        raise CellError("outside the years 1 to 9999", "correct it or empty the cell") from None


def iso_utc(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second, or to the millisecond when there is a fraction."""
    utc = moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds" if utc.microsecond else "seconds").replace("+00:00", "Z")


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def _parse_time(text: str, mapping: ColumnMapping) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for time_format in mapping.time_formats:
        try:
            return datetime.strptime(text, time_format)
        except ValueError:
            continue
    known = ", ".join(("ISO 8601", *mapping.time_formats))
    raise CellError(f"not a time in any known format ({known})", "name its format in the mapping (time_formats)")


def _word(text: str, words: Mapping[str, _Word], field: str) -> _Word:
    try:
        return words[normalise(text)]
    except KeyError:
        members = "|".join(member.name.lower() for member in type(next(iter(words.values()))))
        raise CellError(f"unknown {field}", f"map it: --map '{field}:{text.strip()}={members}'") from None


def _estimate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise CellError("not a number", "write it with a decimal point, as in 2.5") from None
    if not math.isfinite(value) or value < 0:
        raise CellError("an estimate is a finite number from 0 on", "correct it or empty the cell")
    return value


def _description(text: str) -> str:
    size_bytes = len(text.encode())
    if size_bytes > Limits.DESCRIPTION_BYTES:
        raise CellError(
            f"{size_bytes:,} bytes, the limit is {Limits.DESCRIPTION_BYTES:,}",
            "shorten it; it is not cut silently",
        )
    return text


def _due(text: str, mapping: ColumnMapping) -> DueDate | DueAt:
    stripped = text.strip()
    if len(stripped) == _ISO_DAY_CHARACTERS:
        try:
            return DueDate(date.fromisoformat(stripped).isoformat())
        except ValueError:
            pass  # a day in another format, which may also have ten characters
    zone_name, moment_text = mapping.zone_name, stripped
    if stripped.endswith("]") and "[" in stripped:
        # RFC 9557: the zone that the person meant follows the instant in brackets.
        moment_text, _, rest = stripped.partition("[")
        zone_name = rest[:-1]
    moment = _parse_time(moment_text, mapping)
    if mapping.due_is_day or (moment.tzinfo is None and _is_day(stripped, mapping)):
        return DueDate(moment.date().isoformat())
    return DueAt(epoch_ms(instant(moment_text, mapping)), zone_name)


def _is_day(text: str, mapping: ColumnMapping) -> bool:
    """Whether `text` fits a format without an hour: a day is not midnight."""
    for time_format in mapping.time_formats:
        if any(hour in time_format for hour in ("%H", "%I", "%X", "%c")):
            continue
        try:
            datetime.strptime(text, time_format)
        except ValueError:
            continue
        return True
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _labels(texts: Sequence[str], mapping: ColumnMapping) -> frozenset[str]:
    labels = frozenset(label for text in texts for label in items(text, mapping.separator))
    if len(labels) > Limits.SET_ITEMS:
        raise CellError(f"{len(labels)} labels, the limit is {Limits.SET_ITEMS}", "remove some")
    return frozenset(single_line(label, Limits.NAME_CHARACTERS) for label in labels)


def _custom(texts: Sequence[str], is_time: bool, mapping: ColumnMapping) -> str:
    if is_time:
        return iso_utc(instant(texts[0], mapping))
    # Trackers repeat a column for a field with several values.
    return bounded(texts[0] if len(texts) == 1 else "; ".join(dict.fromkeys(texts)), Limits.CUSTOM_VALUE_CHARACTERS)
