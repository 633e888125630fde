"""A wall clock that stands still until it is moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class WallClock:
    """Call it for the time; `advance` moves it."""

    def __init__(self, now: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by
