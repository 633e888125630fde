"""Jira's CSV exports, Server and Cloud: the headers they use and what becomes of each."""

from __future__ import annotations

from typing import Final

from weftmesh.core.exchange import mapping as to
from weftmesh.core.exchange.mapping import ColumnMapping

_COLUMNS: Final = {
    "issue key": to.KEY,
    "issue id": to.ALIAS,
    "project key": to.PROJECT,
    "project name": to.PROJECT_TITLE,
    "summary": "title",
    "description": "description",
    "status": "status",
    "resolution": to.RESOLUTION,
    "priority": "priority",
    "assignee": "assignee",
    "labels": "labels",
    "story points": "estimate",
    "custom field (story points)": "estimate",
    "custom field (story point estimate)": "estimate",
    "due date": "due",
    "parent": "parent",
    "parent key": "parent",
    "parent id": "parent",
    # "is blocked by" is the inward side of Jira's link type Blocks.
    "inward issue link (blocks)": "depends_on",
}

_TIMES: Final = ("created", "updated", "resolved", "last viewed")

_IGNORED: Final = frozenset(
    {
        "comment",
        "attachment",
        "log work",
        "watchers",
        "watchers id",
        "assignee id",
        "reporter id",
        "creator id",
        "parent summary",
        "project type",
        "project lead",
        "project lead id",
        "project description",
        "project url",
        "status category",
        "status category changed",
    }
)
"""Whole conversations, and columns that only repeat others; the reader notes which of them a file had."""

# Jira Server prints times in its own style, 21/Nov/26 10:38 PM, unless an administrator chose another.
_TIME_FORMATS: Final = ("%d/%b/%y %I:%M %p", "%d/%b/%Y %I:%M %p", "%d/%b/%y %H:%M", "%d/%b/%y", "%d/%b/%Y")


def jira_mapping() -> ColumnMapping:
    """The mapping for Jira; a due date there is a day, whatever hour the export prints."""
    times = {header: f"custom.{header.replace(' ', '_')}" for header in _TIMES}
    return ColumnMapping(
        name="jira",
        columns=_COLUMNS | times,
        ignored=_IGNORED,
        times=frozenset(times.values()),
        time_formats=_TIME_FORMATS,
        due_is_day=True,
        separator="",
    )
