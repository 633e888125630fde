"""Due dates between the board and other formats: a day is not an instant, and an instant has a zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from weftmesh.core.board.model import DueAt, DueDate
from weftmesh.core.exchange.problems import CellError
from weftmesh.core.exchange.values import epoch_ms

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ISO_DAY_CHARACTERS: Final = 10


def moment_of(due: DueAt) -> datetime:
    """The instant, in UTC."""
    return EPOCH + timedelta(milliseconds=due.epoch_ms)


def due_text(due: DueDate | DueAt) -> str:
    """A day, or an instant in UTC and the zone it was meant in (RFC 9557): 2026-11-21T07:00:00+00:00[Asia/Tokyo]."""
    return due.iso if isinstance(due, DueDate) else f"{moment_of(due).isoformat()}[{due.zone}]"


def read_due(text: str) -> DueDate | DueAt:
    """The inverse of `due_text`.

    Raises:
        CellError: it is no due date.
    """
    try:
        if len(text) == _ISO_DAY_CHARACTERS:
            return DueDate(date.fromisoformat(text).isoformat())
        moment_text, _, zone = text.partition("[")
        zone = zone.removesuffix("]")
        moment = datetime.fromisoformat(moment_text)
        if moment.tzinfo is not None and zone:
            return DueAt(epoch_ms(moment), zone)
    except (ValueError, OverflowError):
        pass
    raise CellError("not a due date", "write 2026-11-21, or 2026-11-21T09:00:00+02:00[Europe/Helsinki]")


def day_start(day: DueDate, zone: tzinfo) -> datetime:
    """The instant at which `day` begins in `zone`, in UTC; the last representable one at the edge of the calendar."""
    midnight = datetime.combine(date.fromisoformat(day.iso), datetime.min.time(), zone)
    try:
        return midnight.astimezone(UTC)
    except OverflowError:
        return midnight.replace(tzinfo=UTC)


def as_day(moment: datetime, zone: tzinfo) -> DueDate | None:
    """The day that begins at `moment` in `zone`; None when none does."""
    try:
        local = moment.astimezone(zone)
    except OverflowError:
        return None
    if local.time() != datetime.min.time():
        return None
    return DueDate(local.date().isoformat())
