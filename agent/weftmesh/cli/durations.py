"""Spans of time as people write them: 30m, 2h, 1d."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

import click

_SPAN: Final = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(_context: click.Context, _parameter: click.Parameter, text: str | None) -> timedelta | None:
    """The value of an option (a click callback); None stays None.

    Raises:
        BadParameter: it is no span of time.
    """
    if text is None:
        return None
    match = _SPAN.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time; write 30m, 2h or 1d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
