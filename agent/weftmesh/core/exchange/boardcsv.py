"""The board's own CSV: the columns an export writes, in order, and the mapping that reads them back."""

from __future__ import annotations

from typing import Final

from weftmesh.core.board.model import Priority, Status
from weftmesh.core.exchange import mapping as to
from weftmesh.core.exchange.mapping import ColumnMapping

NAME: Final = "weftmesh"
"""The tracker's name in the origins of tasks that a board itself made."""

LEADING_COLUMNS: Final = (
    "key",
    "origin",
    "title",
    "description",
    "status",
    "assignee",
    "priority",
    "labels",
    "estimate",
    "due",
    "parent",
    "depends_on",
)
TRAILING_COLUMNS: Final = ("created", "updated", "deleted", "version", "revision", "etag")
"""What the board itself keeps; between the two stand the custom fields, as custom.KEY, sorted."""

_TRAILING_TARGETS: Final = dict.fromkeys(TRAILING_COLUMNS, to.NOTHING) | {
    "created": to.BOARD_CREATED,
    "deleted": to.DELETED,
    "etag": to.ETAG,
}


def board_mapping() -> ColumnMapping:
    """Reads what an export wrote; columns named custom.KEY need no entry."""
    columns = {name: name for name in LEADING_COLUMNS} | _TRAILING_TARGETS
    return ColumnMapping(
        name=NAME,
        columns=columns,
        originals=frozenset(),
        statuses={status.name.lower(): status for status in Status},
        priorities={priority.name.lower(): priority for priority in Priority},
    )
