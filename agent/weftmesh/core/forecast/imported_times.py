"""Times that an import brought along in a task's custom fields: older than the task is on this board."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

CREATED: Final = "created"
RESOLVED: Final = "resolved"
"""Names of the custom fields."""


def imported_s(text: str | None) -> float | None:
    """Unix seconds of a time with a zone (ISO 8601), as imports write it; None for anything else."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.astimezone(UTC).timestamp()
