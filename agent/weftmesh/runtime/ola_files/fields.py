"""The types of the fields of a form: a validator each, and the JSON Schema that editors complete from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import PlainValidator, WithJsonSchema

from weftmesh.core.ola import problems as limits
from weftmesh.core.ola.model import ProbeKind, RouteMode, ServiceClass
from weftmesh.core.ola.recurrence import RULE_CHARACTERS_MAX
from weftmesh.runtime.ola_files import values

CLASSES: Final = {one.name.lower(): one for one in ServiceClass}
MODES: Final = {one.name.lower(): one for one in RouteMode}
PROBE_KINDS: Final = {one.name.lower(): one for one in ProbeKind}
DAYS: Final = {day: index for index, day in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))}
HARDNESS: Final = {"hard": True, "soft": False}


def _words(words: Mapping[str, object]) -> WithJsonSchema:
    return WithJsonSchema({"enum": list(words)})


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern})$", "examples": [example]})


def _line(example: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": limits.TEXT_CHARACTERS_MAX, "examples": [example]}
    )


def _number(allowed: range, kind: str = "integer") -> WithJsonSchema:
    return WithJsonSchema({"type": kind, "minimum": allowed[0], "maximum": allowed[-1]})


_SPAN: Final = "[0-9]{1,12}(us|ms|[smhdw])"

Name = Annotated[str, PlainValidator(values.parse_name), _text(limits.NAME.pattern, "payments")]
Line = Annotated[str, PlainValidator(values.parse_text), _line("team-payments")]
Flag = Annotated[bool, PlainValidator(values.parse_flag), WithJsonSchema({"type": "boolean"})]
Class = Annotated[ServiceClass, PlainValidator(values.one_of(CLASSES)), _words(CLASSES)]
Mode = Annotated[RouteMode, PlainValidator(values.one_of(MODES)), _words(MODES)]
KindOfProbe = Annotated[ProbeKind, PlainValidator(values.one_of(PROBE_KINDS)), _words(PROBE_KINDS)]
Day = Annotated[int, PlainValidator(values.one_of(DAYS)), _words(DAYS)]
Hard = Annotated[bool, PlainValidator(values.one_of(HARDNESS)), _words(HARDNESS)]

Share = Annotated[int, PlainValidator(values.percent(suspicious=True)), _number(limits.PERCENT, "number")]
"""Parts per billion, written as a percentage of more than one."""
SmallShare = Annotated[int, PlainValidator(values.percent(suspicious=False)), _number(limits.PERCENT, "number")]
"""Parts per billion, written as any percentage."""
Percent = Annotated[int, PlainValidator(values.count(limits.PERCENT)), _number(limits.PERCENT)]
Requests = Annotated[int, PlainValidator(values.count(limits.REQUESTS)), _number(limits.REQUESTS)]
Capacity = Annotated[int, PlainValidator(values.count(limits.CAPACITY)), _number(limits.CAPACITY)]

Window = Annotated[int, PlainValidator(values.duration("s", limits.WINDOW_S, "28d")), _text(_SPAN, "28d")]
Threshold = Annotated[int, PlainValidator(values.duration("us", limits.THRESHOLD_US, "60ms")), _text(_SPAN, "60ms")]
Part = Annotated[int, PlainValidator(values.duration("ms", limits.PART_MS, "1s")), _text(_SPAN, "1s")]
ProbeSpan = Annotated[int, PlainValidator(values.duration("ms", limits.PROBE_MS, "300ms")), _text(_SPAN, "300ms")]
Excluded = Annotated[int, PlainValidator(values.duration("s", limits.EXCLUSION_S, "2h")), _text(_SPAN, "2h")]

Clock = Annotated[int, PlainValidator(values.parse_clock), _text("([01][0-9]|2[0-3]):[0-5][0-9]|24:00", "07:00")]
Date = Annotated[str, PlainValidator(values.parse_date), _text("[0-9]{4}-[0-9]{2}-[0-9]{2}", "2027-03-01")]
LocalTime = Annotated[
    str,
    PlainValidator(values.parse_local_time),
    _text("[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?", "2026-12-24T18:00"),
]
TimeZone = Annotated[str, PlainValidator(values.parse_time_zone), _line("Europe/Berlin")]
Address = Annotated[str, PlainValidator(values.parse_address), _line("10.0.0.11:8443")]
Rule = Annotated[
    str,
    PlainValidator(values.parse_text),
    WithJsonSchema({"type": "string", "maxLength": RULE_CHARACTERS_MAX, "examples": ["FREQ=WEEKLY;BYDAY=SU;BYHOUR=2"]}),
]
